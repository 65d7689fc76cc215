"""The two ways in which fused attention computes softmax(q kᵀ / √d_head + mask) v; kernel_rules.py picks one.

Shapes: query [batch head query d_head], key and value [batch kv_head key d_head] -> [batch head query d_head].
The kernel works in pieces and never stores the pattern [query key] (Dao et al. 2022, arXiv:2205.14135, section 3.1).
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from components.attention_mask import AttentionMask

Queries = Float[Tensor, "batch head query d_head"]
Keys = Float[Tensor, "batch kv_head key d_head"]


def attend_in_one_kernel(query: Queries, key: Keys, value: Keys, mask: AttentionMask | None, dropout: float) -> Queries:
    """softmax(q kᵀ / √d_head + mask) v by the device's best kernel."""
    mixed = F.scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=None if mask is None else mask.added.to(query.dtype),
        dropout_p=dropout,
        is_causal=mask is None and query.shape[2] > 1,
        enable_gqa=query.shape[1] != key.shape[1],
    )
    return mixed if mask is None else mask.silence_blind(mixed)


def attend_written_out(query: Queries, key: Keys, value: Keys, mask: AttentionMask | None, dropout: float) -> Queries:
    """The same in three steps, the scale on the queries because there are fewer of them than of scores."""
    group = query.shape[1] // key.shape[1]
    if group > 1:
        key, value = key.repeat_interleave(group, dim=1), value.repeat_interleave(group, dim=1)
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1)
    if mask is not None:
        scores = scores + mask.added.to(scores.dtype)
    mixed = F.dropout(scores.softmax(dim=-1), dropout) @ value
    return mixed if mask is None else mask.silence_blind(mixed)
