"""Sinusoidal positions: fixed waves, from fast to slow, added to the token's vector. Nothing is learned.

    PE[p, 2i]     = sin(p / 10000^(2i / d_model))
    PE[p, 2i + 1] = cos(p / 10000^(2i / d_model))        x[b, p] = token_embedding[b, p] + PE[p]

Paper: Vaswani et al. 2017, arXiv:1706.03762, section 3.5.
Shapes: [batch pos d_model] -> [batch pos d_model]. Table: [n_ctx d_model], a buffer, not in checkpoints.

A shift by k positions turns each (sin, cos) pair by a fixed angle, so a linear map can read off relative distances.
What departs from the paper: its section 3.4 also multiplies the token embedding by √d_model; here the embedding is the
same for every position scheme, so that schemes can be compared.
"""

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor

from components.activation_point import activation_points
from components.position import Position
from config.model_config import ModelConfig

BASE = 10_000.0


def wave_frequencies(d_model: int) -> Float[Tensor, "pair"]:
    """10000^(−2i / d_model) for each pair i, in radians per position."""
    return BASE ** (-torch.arange(0, d_model, 2, dtype=torch.float32) / d_model)


def sinusoidal_table(n_ctx: int, d_model: int) -> Float[Tensor, "n_ctx d_model"]:
    """The waves of all positions, in float32: sines in the even columns, cosines in the odd ones."""
    angles = torch.arange(n_ctx, dtype=torch.float32)[:, None] * wave_frequencies(d_model)  # [n_ctx pair]
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1)


class SinusoidalPositions(Position):
    """Holds the frequencies and the table; acts on the residual stream."""

    table: Tensor
    frequencies: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.d_model = config.d_model
        self.register_buffer("frequencies", wave_frequencies(config.d_model), persistent=False)
        self.register_buffer("table", sinusoidal_table(config.n_ctx, config.d_model), persistent=False)
        (self.hook_pos_embed,) = activation_points(1)


class SinusoidalPositionsEinops(SinusoidalPositions):
    """Computes the waves from the formula each time, pair by pair."""

    def embed(
        self, x: Float[Tensor, "batch pos d_model"], positions: Int[Tensor, "#batch pos"]
    ) -> Float[Tensor, "batch pos d_model"]:
        # A product by broadcasting, not einsum: autocast would run einsum, and with it the angles, in bfloat16.
        angles = rearrange(positions, "batch pos -> batch pos 1") * self.frequencies
        waves = rearrange([angles.sin(), angles.cos()], "wave batch pos pair -> batch pos (pair wave)")
        return x + self.hook_pos_embed(waves.to(x.dtype))


class SinusoidalPositionsTorch(SinusoidalPositions):
    """Fills even and odd columns as the paper writes them."""

    def embed(
        self, x: Float[Tensor, "batch pos d_model"], positions: Int[Tensor, "#batch pos"]
    ) -> Float[Tensor, "batch pos d_model"]:
        angles = positions[:, :, None] * self.frequencies  # [batch pos pair]
        waves = angles.new_empty(*positions.shape, self.d_model)
        waves[:, :, 0::2] = angles.sin()
        waves[:, :, 1::2] = angles.cos()
        return x + waves.to(x.dtype)


class SinusoidalPositionsFused(SinusoidalPositions):
    """Reads the rows of the table that was computed once."""

    def embed(
        self, x: Float[Tensor, "batch pos d_model"], positions: Int[Tensor, "#batch pos"]
    ) -> Float[Tensor, "batch pos d_model"]:
        return x + self.table[positions].to(x.dtype)


VARIANTS = {
    "einops": SinusoidalPositionsEinops,
    "torch": SinusoidalPositionsTorch,
    "fused": SinusoidalPositionsFused,
}
