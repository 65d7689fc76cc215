"""Attention sinks: one more score in every row of the softmax, learned for each head, that stands for "nothing".

    pattern = softmax([scores, s])[without the last column]          rows sum to less than 1

A softmax must hand out all of its weight, so a head that finds nothing puts it on some token that can bear it, mostly
the first: the sink of Xiao et al. 2023, arXiv:2309.17453, section 3. With a score of its own to lose, it need not.
In this form, one learned number for each head: gpt-oss (OpenAI 2025, arXiv:2508.10925, section 2.1). It begins at 0:
as much as a key that a query neither likes nor dislikes.
Shapes: s [head]; scores [batch head query key] -> pattern [batch head query key].

A fused kernel knows no sinks, but a sink is a key of zeros whose score the mask supplies, with a value of zeros.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from components.attention_mask import AttentionMask, causal_mask

Scores = Float[Tensor, "batch head query key"]
Keys = Float[Tensor, "batch kv_head key some_width"]
Sinks = Float[Tensor, "head"]


def softmax_with_sinks(scores: Scores, sinks: Sinks | None) -> Scores:
    """The pattern; without sinks an ordinary softmax."""
    if sinks is None:
        return scores.softmax(dim=-1)
    column = sinks.to(scores.dtype)[:, None, None].expand(*scores.shape[:3], 1)
    return torch.cat((scores, column), dim=-1).softmax(dim=-1)[..., :-1]


def with_sink_key(
    key: Keys, value: Float[Tensor, "batch kv_head key d_value"], mask: AttentionMask | None, n_query: int, sinks: Sinks
) -> tuple[Tensor, Tensor, AttentionMask]:
    """Keys, values and mask with one more key, of zeros, that is worth the sink of each head; for a fused kernel."""
    if mask is None:
        mask = causal_mask(n_query, key.shape[2], key.device)
    zero_key, zero_value = (torch.zeros_like(some[:, :, :1]) for some in (key, value))
    added = mask.added.expand(-1, len(sinks), -1, -1)
    column = sinks[:, None, None].expand(added.shape[0], -1, added.shape[2], 1)
    added = torch.cat((added, column), dim=-1)  # [#batch head query key + 1], in the finer format of the two
    return torch.cat((key, zero_key), dim=2), torch.cat((value, zero_value), dim=2), AttentionMask(added, mask.blind)
