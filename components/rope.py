"""Rotary positions (RoPE): turns pairs of query and key dimensions by an angle that grows with the position.

    a[p, i] = p · θ^(−2i / d)                                angle of pair i at position p; d dimensions are turned
    (x_i, x_{i+d/2})  ->  (x_i cos a − x_{i+d/2} sin a,      an ordinary rotation of the plane
                           x_{i+d/2} cos a + x_i sin a)

Paper: Su et al. 2021, arXiv:2104.09864, section 3.2.2, equations 14-15 and 34.
Shapes: [batch head pos d_head] -> [batch head pos d_head], for queries and for keys; values are not turned.
Tables: cos and sin, [n_ctx d/2] each, float32 buffers, not in checkpoints; [n_ctx d] for the fused way.

Why it works: turning the query by p·a and the key by q·a leaves in their dot product only the angle (p − q)·a, so a
score depends on the distance of two tokens and not on where they stand. Fast pairs tell neighbours apart, slow pairs
tell paragraphs apart.

What departs from the paper: it pairs neighbors (x_0 with x_1, x_2 with x_3, …), which is rope_style "interleaved". By
default, as in LLaMA's Hugging Face weights and most code since GPT-NeoX, x_i is paired with x_{i + d/2}: the two halves
of the vector. The models are equally good (one is the other with the rows of W_q and W_k reordered), but a checkpoint
fits only its own pairing. With rotary_dim, d is less than d_head: only the first d dimensions are turned, as in
GPT-NeoX; the others compare tokens wherever they stand. Longer contexts: components/rope_scaling.py.
Angles are computed in float32 whatever the model's dtype: bfloat16 cannot even count positions beyond 256.
"""

from abc import abstractmethod

import torch
from einops import einsum, rearrange
from jaxtyping import Float
from torch import Tensor

from components.position import Position
from components.rope_scaling import rope_frequencies, rope_length
from config.model_config import ModelConfig


class RotaryPositions(Position):
    """Holds the tables of cosines and sines; acts on queries and keys."""

    cos: Tensor
    sin: Tensor
    wide_cos: Tensor
    signed_sin: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.config = config
        self.n_turned = config.rope_head_dim
        self.is_interleaved = config.rope_style == "interleaved"
        self.layout = "(pair half)" if self.is_interleaved else "(half pair)"  # of d_head, for einops
        cos, sin = self.table(0, config.n_ctx, min(config.n_ctx, config.rope_trained_ctx))
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        # The same for every dimension, the signs of the formula included, for the fused implementation.
        wide_cos, signed_sin = self.widened(cos, sin)
        self.register_buffer("wide_cos", wide_cos, persistent=False)
        self.register_buffer("signed_sin", signed_sin, persistent=False)

    def table(self, start: int, end: int, n_tokens: int) -> tuple[Float[Tensor, "pos pair"], Float[Tensor, "pos pair"]]:
        """cos and sin of positions start … end − 1 in a text of `n_tokens`, as long as the scaling makes them."""
        angles = torch.arange(start, end, dtype=torch.float32)[:, None] * rope_frequencies(self.config, n_tokens)
        return angles.cos() * rope_length(self.config), angles.sin() * rope_length(self.config)

    def rows(self, x: Tensor, offset: int) -> tuple[Float[Tensor, "pos pair"], Float[Tensor, "pos pair"]]:
        """The rows of cos and sin for the positions of x, in the dtype of x."""
        end = offset + x.shape[2]
        if self.config.angles_grow and end > self.config.rope_trained_ctx:
            cos, sin = self.table(offset, end, end)
            return cos.to(x), sin.to(x)
        return self.cos[offset:end].to(x.dtype), self.sin[offset:end].to(x.dtype)

    def wide_rows(self, x: Tensor, offset: int) -> tuple[Float[Tensor, "pos dim"], Float[Tensor, "pos dim"]]:
        """The same for every dimension, with signs."""
        end = offset + x.shape[2]
        if self.config.angles_grow and end > self.config.rope_trained_ctx:
            return self.widened(*self.rows(x, offset))
        return self.wide_cos[offset:end].to(x.dtype), self.signed_sin[offset:end].to(x.dtype)

    def widened(self, cos: Tensor, sin: Tensor) -> tuple[Float[Tensor, "pos dim"], Float[Tensor, "pos dim"]]:
        """cos for both dimensions of each pair, and −sin for its first, sin for its second, where they stand."""
        if self.is_interleaved:
            return cos.repeat_interleave(2, dim=1), torch.stack((-sin, sin), dim=2).flatten(1)
        return torch.cat((cos, cos), dim=1), torch.cat((-sin, sin), dim=1)

    def rotate(self, x: Float[Tensor, "batch head pos d_head"], offset: int) -> Float[Tensor, "batch head pos d_head"]:
        """Turn the first dimensions of each head, often all of them; the others pass as they are."""
        if self.n_turned == x.shape[3]:
            return self.turn(x, offset)
        return torch.cat((self.turn(x[..., : self.n_turned], offset), x[..., self.n_turned :]), dim=3)

    def turn_back(
        self, keys: Float[Tensor, "batch head pos d_head"], count: int
    ) -> Float[Tensor, "batch head pos d_head"]:
        """Keys as they would be `count` positions earlier; turned by −count, and not made longer once more."""
        turned, still = keys[..., : self.n_turned], keys[..., self.n_turned :]
        length = rope_length(self.config)
        cos, sin = self.widened(self.cos[count : count + 1] / length, self.sin[count : count + 1] / length)
        back = turned * cos.to(keys.dtype) - self.swapped(turned) * sin.to(keys.dtype)
        return torch.cat((back, still), dim=3)

    def swapped(self, x: Float[Tensor, "batch head pos dim"]) -> Float[Tensor, "batch head pos dim"]:
        """Each dimension in the place of the other one of its pair."""
        if self.is_interleaved:
            return x.unflatten(3, (-1, 2)).flip(4).flatten(3)
        return x.roll(x.shape[3] // 2, dims=3)

    @abstractmethod
    def turn(self, x: Float[Tensor, "batch head pos dim"], offset: int) -> Float[Tensor, "batch head pos dim"]:
        """Turn every pair of x by the angle of its position."""


class RotaryPositionsEinops(RotaryPositions):
    """The 2 × 2 rotation matrix of every position and pair, applied to every pair."""

    def turn(self, x: Float[Tensor, "batch head pos dim"], offset: int) -> Float[Tensor, "batch head pos dim"]:
        cos, sin = self.rows(x, offset)
        rotation = rearrange([cos, -sin, sin, cos], "(new old) pos pair -> new old pos pair", new=2)
        pairs = rearrange(x, f"batch head pos {self.layout} -> batch head pos half pair", half=2)
        turned = einsum(rotation, pairs, "new old pos pair, batch head pos old pair -> batch head pos new pair")
        return rearrange(turned, f"batch head pos half pair -> batch head pos {self.layout}")


class RotaryPositionsTorch(RotaryPositions):
    """x · cos + quarter turn of x · sin, the form found in most published models."""

    def turn(self, x: Float[Tensor, "batch head pos dim"], offset: int) -> Float[Tensor, "batch head pos dim"]:
        cos, sin = self.rows(x, offset)
        if self.is_interleaved:
            first, second = x[..., 0::2], x[..., 1::2]  # [batch head pos pair] each
            turned = torch.stack((first * cos - second * sin, second * cos + first * sin), dim=-1)
            return turned.flatten(3)
        first, second = x.chunk(2, dim=-1)  # [batch head pos pair] each
        rotate_half = torch.cat((-second, first), dim=-1)  # a quarter turn of every pair
        return x * torch.cat((cos, cos), dim=-1) + rotate_half * torch.cat((sin, sin), dim=-1)


class RotaryPositionsFused(RotaryPositions):
    """Swaps the halves by a roll, then one product and one product added to it.

    Forward and backward of queries and keys of one layer (12 x 4 heads, 64 positions, d_head 32, CPU): 1.7 ms, against
    3.2 ms for the halves computed apart and joined.
    """

    def turn(self, x: Float[Tensor, "batch head pos dim"], offset: int) -> Float[Tensor, "batch head pos dim"]:
        cos, sin = self.wide_rows(x, offset)
        return torch.addcmul(x * cos, self.swapped(x), sin)


VARIANTS = {"einops": RotaryPositionsEinops, "torch": RotaryPositionsTorch, "fused": RotaryPositionsFused}
