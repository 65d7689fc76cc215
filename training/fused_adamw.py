"""AdamW as one kernel for all tensors of a group: torch's, called without the class around it.

`torch.optim.AdamW(fused=True)` computes exactly this. Its base class imports torch's compiler (`torch._dynamo`) when
the first optimizer is made, to keep itself out of compiled graphs. That takes as long as importing torch itself, 1.6 s
of processor time at every start of a run, and a step is not compiled here. The formulas are in training/adamw.py.

The kernel can also divide the gradients while it reads them, which is meant for the loss scale of float16 and serves
clipping as well: a pass over all gradients less.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn


class FusedAdamW:
    """Groups, state and their names are those of `torch.optim.AdamW`."""

    def __init__(
        self, groups: Iterable[dict[str, Any]], lr: float, betas: tuple[float, float], eps: float = 1e-8
    ) -> None:
        self.defaults: dict[str, Any] = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": 0.0, "fused": True}
        self.param_groups = [self.defaults | group for group in groups]
        self.state: defaultdict[nn.Parameter, dict[str, Tensor]] = defaultdict(dict)

    @torch.no_grad()
    def step(self, divisor: float = 1.0) -> None:
        """One update of every parameter that has a gradient, with the gradients divided by a number."""
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            if not parameters:
                continue
            states = [self._state_of(parameter) for parameter in parameters]
            steps = [state["step"] for state in states]
            torch._foreach_add_(steps, 1)
            torch._fused_adamw_(
                parameters,
                [parameter.grad for parameter in parameters],
                [state["exp_avg"] for state in states],
                [state["exp_avg_sq"] for state in states],
                [],
                steps,
                lr=group["lr"], beta1=group["betas"][0], beta2=group["betas"][1], eps=group["eps"],
                weight_decay=group["weight_decay"], amsgrad=False, maximize=False,
                grad_scale=None if divisor == 1.0 else torch.tensor(divisor, device=steps[0].device),
            )  # fmt: skip

    def _state_of(self, parameter: nn.Parameter) -> dict[str, Tensor]:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float32, device=parameter.device)
            state["exp_avg"] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
            state["exp_avg_sq"] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
        return state

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        for parameter in (parameter for group in self.param_groups for parameter in group["params"]):
            if set_to_none:
                parameter.grad = None
            elif parameter.grad is not None:
                parameter.grad.zero_()
