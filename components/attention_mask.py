"""What each query may look at, as numbers to add to the attention scores; components/layer_masks.py says when.

    added[i, j] = 0 where query i may look at key j, −∞ where it may not, plus the position scheme's bias (ALiBi)

A query may look at a key that is not after it (causal) and is not padding. With a KV cache the queries are the last
`n_query` of `n_key` positions, so the allowed triangle is aligned to the bottom right corner:

    n_query 4, n_key 4      n_query 2, n_key 4 (two tokens in the cache)
    x . . .
    x x . .
    x x x .                 x x x .
    x x x x                 x x x x

Through a window a query sees that many tokens, itself included, and none further back:

    window 2                x . . .
                            x x . .
                            . x x .
                            . . x x

Texts that are packed into one row do not see each other: a query may also only look at keys of its own document.

    documents 0 0 1 1       x . . .
                            x x . .
                            . . x .
                            . . x x

A query that may look at nothing (padding on the left) would make softmax divide 0 by 0, and its NaN would reach the
weights. Such a *blind* query is shown everything here, and attention then sets what it found to zero.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

HIDDEN = float("-inf")


@dataclass(frozen=True)
class AttentionMask:
    """The mask of one forward pass."""

    added: Float[Tensor, "#batch #head query key"]
    """To be added to the scores."""

    blind: Bool[Tensor, "batch 1 query 1"] | None = None
    """Queries that may look at nothing; None where there is no padding."""

    def silence_blind(
        self, rows: Float[Tensor, "batch head query something"]
    ) -> Float[Tensor, "batch head query something"]:
        """Zero the rows (of a pattern, or of what it mixed) that belong to blind queries."""
        return rows if self.blind is None else rows.masked_fill(self.blind, 0.0)


def causal(n_query: int, n_key: int, device: torch.device, window: int | None = None) -> Bool[Tensor, "query key"]:
    """True where a query may look: at its own position and before, the last `window` of them where there is one."""
    visible = torch.ones(n_query, n_key, dtype=torch.bool, device=device).tril(n_key - n_query)
    return visible if window is None else visible.triu(n_key - n_query - window + 1)


def causal_mask(n_query: int, n_key: int, device: torch.device) -> AttentionMask:
    """The mask of a forward pass without padding and biases."""
    return attention_mask(causal(n_query, n_key, device))


def attention_mask(
    visible: Bool[Tensor, "query key"],
    not_padding: Bool[Tensor, "batch key"] | None = None,
    bias: Float[Tensor, "head query key"] | None = None,
    documents: Int[Tensor, "batch key"] | None = None,
) -> AttentionMask:
    """Join the causal triangle, padding, borders of documents and the biases of the position scheme into one tensor."""
    seen = visible[None, None]  # [1 1 query key]
    blind = None
    if documents is not None:  # as many queries as keys: packed rows are trained on, not written on
        seen = seen & (documents[:, None, :, None] == documents[:, None, None, :])  # [batch 1 query key]
    if not_padding is not None:
        seen = seen & not_padding[:, None, None, :]  # [batch 1 query key]
        blind = ~seen.any(dim=-1, keepdim=True)
        seen = seen | blind
    if bias is None:
        bias = torch.zeros((), device=visible.device)
    return AttentionMask(torch.where(seen, bias, HIDDEN), blind)
