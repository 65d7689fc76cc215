"""AdamW written out: every parameter gets a step of its own length, from what its gradients were so far.

    m ← β₁ m + (1 − β₁) g                running average of the gradient: where to go
    v ← β₂ v + (1 − β₂) g²               running average of its square: how large gradients here usually are
    m̂ = m / (1 − β₁ᵗ)   v̂ = v / (1 − β₂ᵗ)    both begin at 0 and would be too small in the first steps t
    θ ← θ − η λ θ                        weight decay, apart from the gradient
    θ ← θ − η m̂ / (√v̂ + ε)               where gradients agree the step is about η, where they cancel it is small

Papers: Adam, Kingma & Ba 2014, arXiv:1412.6980, algorithm 1; the decay apart from it ("decoupled"), Loshchilov & Hutter
2017, arXiv:1711.05101, algorithm 2. Shapes: m and v have the shape of θ, so AdamW keeps two numbers for each weight.

With L2 regularization, λθ would be added to g and then divided by √v̂: weights with large gradients would decay less.
What departs from the paper, as in torch: the decay is multiplied by the rate η, which the schedule changes.

This is the optimizer of the default recipe as one would write it on a blackboard; `--optimizer adamw_plain` trains
with it. The default computes the same with one kernel over all parameters at once, and a test holds the two together.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn


class AdamW(torch.optim.Optimizer):
    """The formulas above, one parameter after the other. State and its names are those of torch.optim.AdamW."""

    def __init__(
        self,
        groups: Iterable[dict[str, Any]],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(groups, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group)

    def _update(self, theta: nn.Parameter, g: Tensor, group: dict[str, Any]) -> None:
        eta, (beta1, beta2), epsilon = group["lr"], group["betas"], group["eps"]
        state = self.state[theta]
        if not state:
            state |= {"step": torch.tensor(0.0), "exp_avg": torch.zeros_like(g), "exp_avg_sq": torch.zeros_like(g)}
        state["step"] += 1
        t, m, v = state["step"].item(), state["exp_avg"], state["exp_avg_sq"]

        m.copy_(beta1 * m + (1 - beta1) * g)
        v.copy_(beta2 * v + (1 - beta2) * g**2)
        m_hat = m / (1 - beta1**t)
        v_hat = v / (1 - beta2**t)
        theta.sub_(eta * group["weight_decay"] * theta)
        theta.sub_(eta * m_hat / (v_hat.sqrt() + epsilon))
