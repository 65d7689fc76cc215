"""Balance: what the routers of a forward pass did, and the two ways to keep the experts evenly used.

Left alone, routers collapse: an expert that is chosen more often learns more, and is chosen more often still.

    penalty          L = E · Σ_e f_e P_e           f_e: visits of expert e / tokens      P_e: mean share of its score
    selection bias   c_e ← c_e + γ · sign(mean visits − visits of e)                      after every optimizer step

The penalty joins the training loss, times balance_loss. f is counted and has no gradient; P has one, and is pushed down
where f is large. With k visits for each token the f_e sum to k, so L is k when all experts are used evenly, and up to
E when all tokens want the same ones. Papers: Shazeer et al. 2017, arXiv:1701.06538, section 4; in this form Fedus et
al. 2021 (Switch), arXiv:2101.03961, section 2.2, equations 4-6, there with k = 1.
What departs from Hugging Face's Mixtral: it counts all layers together before it multiplies, so that one layer may make
up for another; here each layer is balanced by itself, as in the paper, and L is their mean. One layer gives the same.

The selection bias does without a gradient that has nothing to do with language: it moves who is chosen, never how much
the chosen count. Paper: Wang et al. 2024, arXiv:2408.15664, section 3, algorithm 1; γ = 0.001 there and in DeepSeek-V3
(arXiv:2412.19437, section 4.2).

Places at the end of a row that no document needed (text/packing.py) go through the model like all others, but say
nothing of it: they are left out of every sum.

Shapes: a record holds for each layer with experts a row of sums [layer n_experts + 3], which micro-batches and
processes add up:   visits of every expert | visits that found their expert full | entropy of the scores | L · tokens
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from components.router import TINY, Choice, Router

BIAS_STEP = 0.001
BESIDE_VISITS = 3  # sums of a row that are not visits
Sums = Float[Tensor, "layer sums"]


class RoutingRecord:
    """Notes of one forward pass, layer by layer. The caller owns it and passes it in.

    Args:
        counted: the places with a token; by default all.
    """

    def __init__(self, counted: Bool[Tensor, "batch pos"] | None = None) -> None:
        self._counted = counted
        self._penalties: list[Tensor] = []
        self._rows: list[Tensor] = []

    def add(self, choice: Choice) -> None:
        """One layer's choices."""
        n_experts = choice.scores.shape[-1]
        counted = choice.scores.new_ones(choice.scores.shape[:-1]) if self._counted is None else self._counted
        counts = counted.to(choice.scores.dtype)[..., None]  # [batch pos 1], 1 or 0
        n_tokens = counts.sum()
        visits = count_visits(choice, counts)
        shares = choice.scores / (choice.scores.sum(dim=-1, keepdim=True) + TINY)  # sigmoids do not sum to 1
        shares = (counts * shares).flatten(0, 1)  # [token expert]
        penalty = n_experts * (visits / n_tokens * shares.sum(dim=0) / n_tokens).sum()
        turned_away = visits.new_zeros(()) if choice.kept is None else (counts * ~choice.kept).sum()
        seen = shares.detach()  # 0 · ln TINY of a place that is not counted is 0
        entropy = -(seen * (seen + TINY).log()).sum()
        self._penalties.append(penalty)
        self._rows.append(torch.cat([visits, torch.stack([turned_away, entropy, penalty.detach() * n_tokens])]))

    @property
    def penalty(self) -> Float[Tensor, ""]:
        """L, with its gradient: the mean over the layers."""
        return torch.stack(self._penalties).mean()

    @property
    def sums(self) -> Sums:
        """The rows of all layers, without gradient."""
        return torch.stack(self._rows)


def count_visits(choice: Choice, counts: Float[Tensor, "batch pos 1"]) -> Float[Tensor, "expert"]:
    """How many visits each expert was meant to have, whether it had room or not, of tokens that count 1."""
    each = counts.expand_as(choice.experts).flatten()
    return choice.scores.new_zeros(choice.scores.shape[-1]).scatter_add(0, choice.experts.flatten(), each)


@torch.no_grad()
def move_selection_biases(model: nn.Module, sums: Sums) -> None:
    """Raise the bias of experts that had fewer visits than the mean of their layer, lower it where they had more."""
    routers = [module for module in model.modules() if isinstance(module, Router)]
    for router, row in zip(routers, sums, strict=True):
        if router.selection_bias is not None and router.score_proj.weight.requires_grad:  # frozen ones stay as they are
            visits = row[: router.n_experts]
            router.selection_bias += BIAS_STEP * (visits.mean() - visits).sign()
