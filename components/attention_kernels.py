"""The two ways in which fused attention computes softmax(scale · q kᵀ + mask) v; kernel_rules.py picks one.

Shapes: query [batch head query d_head], key [batch kv_head key d_head], value [batch kv_head key d_value]
-> [batch head query d_value]. The kernel works in pieces and never stores the pattern [query key] (Dao et al. 2022,
arXiv:2205.14135, section 3.1).
The kernel has no place for a cap on the scores, cap · tanh(scores / cap) before the mask (Gemma 2, arXiv:2408.00118).
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from components.attention_mask import AttentionMask, causal_mask
from components.kernel_rules import written_out_attention_is_faster

Queries = Float[Tensor, "batch head query d_head"]
Keys = Float[Tensor, "batch kv_head key d_head"]
Values = Float[Tensor, "batch kv_head key d_value"]
Mixed = Float[Tensor, "batch head query d_value"]


def attend(
    query: Queries,
    key: Keys,
    value: Values,
    mask: AttentionMask | None,
    dropout: float,
    scale: float,
    cap: float | None = None,
) -> Mixed:
    """What each query finds, the faster way; without a mask each sees its own token and those before it."""
    n_query, n_key = query.shape[2], key.shape[2]
    written_out = cap is not None or written_out_attention_is_faster(query)
    if mask is None and n_query > 1 and (written_out or n_query < n_key):
        mask = causal_mask(n_query, n_key, query.device)  # the flag means the top left corner: wrong behind a cache
    if written_out:
        return attend_written_out(query, key, value, mask, dropout, scale, cap)
    return attend_in_one_kernel(query, key, value, mask, dropout, scale)


def attend_in_one_kernel(
    query: Queries, key: Keys, value: Values, mask: AttentionMask | None, dropout: float, scale: float
) -> Mixed:
    """By the device's best kernel. Values narrower than keys (latent attention) get zeros behind them: kernels that
    never store the pattern want both alike."""
    d_value = value.shape[3]
    missing = key.shape[3] - d_value if query.shape[2] > 1 else 0
    mixed = F.scaled_dot_product_attention(
        query,
        key,
        F.pad(value, (0, missing)) if missing > 0 else value,
        attn_mask=None if mask is None else mask.added.to(query.dtype),
        dropout_p=dropout,
        is_causal=mask is None and query.shape[2] > 1,
        scale=scale,
        enable_gqa=query.shape[1] != key.shape[1],
    )
    mixed = mixed[..., :d_value] if missing > 0 else mixed
    return mixed if mask is None else mask.silence_blind(mixed)


def attend_written_out(
    query: Queries,
    key: Keys,
    value: Values,
    mask: AttentionMask | None,
    dropout: float,
    scale: float,
    cap: float | None = None,
) -> Mixed:
    """The same in three steps, the scale on the queries because there are fewer of them than of scores."""
    group = query.shape[1] // key.shape[1]
    if group > 1:
        key, value = key.repeat_interleave(group, dim=1), value.repeat_interleave(group, dim=1)
    scores = (query * scale) @ key.transpose(-2, -1)
    if cap is not None:
        scores = cap * scores.div_(cap).tanh_()  # in place: the largest tensors that there are
    if mask is not None:
        scores = scores + mask.added.to(scores.dtype)
    mixed = F.dropout(scores.softmax(dim=-1), dropout) @ value
    return mixed if mask is None else mask.silence_blind(mixed)
