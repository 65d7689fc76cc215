"""What the routers of a mixture of experts did in a step or an evaluation, added up over micro-batches and processes.

    after a step            expert_balance      the penalty, 1 when all experts are used evenly, up to n_experts / k
                            dropped_share       visits that found their expert full, of all; where there is a capacity
    after an evaluation     expert_shares       of each layer, the share of the visits that each expert had
                            router_entropy_nats of each layer, how undecided the router was, per token; at most ln E

Evaluations look at the validation text, at the same windows every time, so that a change is the model's. The sums come
from the forward pass (components/balance.py); nobody waits for the device to count.
"""

from typing import Any

import torch
from torch import Tensor, nn

from components.balance import BESIDE_VISITS, move_selection_biases
from config.model_config import ModelConfig
from training.distributed import Ranks

DIGITS = 5  # of shares and entropies in the metrics


class RoutingTally:
    """Sums [layer n_experts + 3] since the last `clear`; one for dense models too, which stays empty."""

    def __init__(self, config: ModelConfig, ranks: Ranks) -> None:
        self.ranks, self.n_chosen = ranks, config.experts_per_token
        self.has_experts, self.has_capacity = config.n_experts is not None, config.expert_capacity is not None
        self.moves_biases = self.has_experts and config.router_selection_bias
        self._sums: Tensor | None = None

    def clear(self) -> None:
        """Begin anew."""
        self._sums = None

    def add(self, sums: Tensor) -> None:
        """What one forward pass recorded."""
        self._sums = sums if self._sums is None else self._sums + sums

    def of_step(self) -> list[Tensor]:
        """This rank's balance and share of dropped visits, on the device; nothing for a dense model."""
        if self._sums is None:
            return []
        visits, (dropped, _, penalty) = self._sums[:, :-BESIDE_VISITS].sum(dim=1), self._sums[:, -BESIDE_VISITS:].T
        # The penalty of even use is k, and each token makes k visits.
        return [(penalty / visits).mean(), dropped.sum() / visits.sum()]

    def named(self, values: list[float]) -> dict[str, float]:
        """`of_step`, averaged over the ranks, for the metrics."""
        names = ("expert_balance", "dropped_share") if self.has_capacity else ("expert_balance",)
        return dict(zip(names, values, strict=False))

    def of_evaluation(self) -> dict[str, Any]:
        """Shares and entropy of every layer with experts, over all ranks; for the metrics."""
        if self._sums is None:
            return {}
        sums = self.ranks.sum(self._sums.clone()).double().cpu()
        visits, entropy = sums[:, :-BESIDE_VISITS], sums[:, -2]
        shares = visits / visits.sum(dim=1, keepdim=True)
        per_token = entropy / (visits.sum(dim=1) / self.n_chosen)
        return {"expert_shares": _rounded(shares), "router_entropy_nats": _rounded(per_token)}

    def move_biases(self, model: nn.Module) -> None:
        """After a step of the optimizer: the selection biases follow the visits of all ranks."""
        if self.moves_biases and self._sums is not None:
            move_selection_biases(model, self.ranks.sum(self._sums.clone()))


def _rounded(values: Tensor) -> Any:
    return torch.round(values, decimals=DIGITS).tolist()
