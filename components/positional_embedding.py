"""Learned positions: a table with one trained vector for each position, added to the token's vector.

    x[b, p] = token_embedding[b, p] + W[p]        W: [n_ctx d_model]

Paper: Radford et al. 2019 (GPT-2); first in Gehring et al. 2017, arXiv:1705.03122, section 3.1.
Shapes: [batch pos d_model] -> [batch pos d_model].

The simplest scheme there is, with one price: position n_ctx has no row, so the model cannot read further than it was
trained. With a KV cache the first new token does not stand at position 0; `positions` carries the true ones.
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

from components.activation_point import activation_points
from components.position import Position
from config.model_config import ModelConfig


class PositionalEmbedding(Position):
    """Holds the table W; acts on the residual stream."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.weight = nn.Parameter(torch.empty(config.n_ctx, config.d_model).normal_(0.0, config.init_std))
        (self.hook_pos_embed,) = activation_points(1)


class PositionalEmbeddingEinops(PositionalEmbedding):
    """Picks the rows as one long list, then gives the list its two axes back."""

    def embed(
        self, x: Float[Tensor, "batch pos d_model"], positions: Int[Tensor, "#batch pos"]
    ) -> Float[Tensor, "batch pos d_model"]:
        rows = self.weight[rearrange(positions, "batch pos -> (batch pos)")]
        return x + self.hook_pos_embed(rearrange(rows, "(batch pos) d_model -> batch pos d_model", pos=x.shape[1]))


class PositionalEmbeddingTorch(PositionalEmbedding):
    """Plain indexing: an index of shape [batch pos] gives [batch pos d_model]."""

    def embed(
        self, x: Float[Tensor, "batch pos d_model"], positions: Int[Tensor, "#batch pos"]
    ) -> Float[Tensor, "batch pos d_model"]:
        return x + self.weight[positions]


class PositionalEmbeddingFused(PositionalEmbedding):
    """The look-up kernel, whose backward adds rows in place."""

    def embed(
        self, x: Float[Tensor, "batch pos d_model"], positions: Int[Tensor, "#batch pos"]
    ) -> Float[Tensor, "batch pos d_model"]:
        return x + F.embedding(positions, self.weight)


VARIANTS = {
    "einops": PositionalEmbeddingEinops,
    "torch": PositionalEmbeddingTorch,
    "fused": PositionalEmbeddingFused,
}
