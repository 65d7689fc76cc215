"""Capacity: how many tokens an expert takes, where every expert has room for as many as every other.

    room = ⌈ C · tokens · k / E ⌉          C = 1: an even share of the visits; more leaves room for uneven ones

Papers: Lepikhin et al. 2020 (GShard), arXiv:2006.16668, section 2.2; Fedus et al. 2021 (Switch), arXiv:2101.03961,
section 2.2 and figure 3. Experts on many machines need it, because each computes on a buffer of fixed size. Here it
shows what it costs: a visit to a full expert does not take place, and where all visits of a token fail, the token
passes the layer unchanged, on the residual stream.

Who comes first is served first, in the order of the batch: text after text, token after token, and of a token the
expert with the larger weight. GShard serves the first choices of all tokens before any second choice; then a token
could lose its place to one that comes after it in the same text, and a model must not see the future, not even so.
For the same reason there is no capacity outside of training: a text would depend on the texts beside it.
"""

import math

import torch.nn.functional as F
from jaxtyping import Bool, Int
from torch import Tensor


def room(n_visits: int, n_experts: int, capacity: float) -> int:
    """How many of a batch's visits one expert takes; at least one."""
    return max(1, math.ceil(capacity * n_visits / n_experts))


def within_capacity(
    experts: Int[Tensor, "batch pos slot"], n_experts: int, capacity: float
) -> Bool[Tensor, "batch pos slot"]:
    """Which visits take place."""
    visits = F.one_hot(experts.flatten(), n_experts)  # [visit expert]
    place = visits.cumsum(dim=0).gather(1, experts.reshape(-1, 1))  # 1 for the first who comes to an expert
    return (place <= room(experts.numel(), n_experts, capacity)).view(experts.shape)
