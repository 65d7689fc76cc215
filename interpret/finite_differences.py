"""The slope of the loss along a direction, measured by a finite difference and computed from the gradient.

    (L(θ + εv) − L(θ − εv)) / 2ε  ≈  v · ∂L/∂θ          in float64, where rounding leaves ten digits of it

One direction v for all parameters of a kind (the same in every layer and expert), so that a model with many experts is
as quick to prove as one without.
"""

import re
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from jaxtyping import Int
from torch import Tensor

from components.model import Transformer

EPSILON = 1e-5


def loss_of(model: Transformer, tokens: Int[Tensor, "batch pos"]) -> Tensor:
    """Cross-entropy of the next token, in nats; after the last one the first is asked for, so that all lengths work."""
    return F.cross_entropy(model(tokens).flatten(0, 1), tokens.roll(-1, dims=1).flatten())


def slopes(
    model: Transformer, tokens: Int[Tensor, "batch pos"], generator: torch.Generator
) -> Iterator[tuple[str, float, float]]:
    """For each kind of parameter (the same in every layer and expert): the measured slope and the gradient's."""
    parameters = dict(model.named_parameters())
    gradients = torch.autograd.grad(
        loss_of(model, tokens), list(parameters.values()), allow_unused=True, materialize_grads=True
    )
    kinds: dict[str, list[tuple[Tensor, Tensor]]] = {}
    for (name, parameter), gradient in zip(parameters.items(), gradients, strict=True):
        kinds.setdefault(re.sub(r"\d+", "N", name), []).append((parameter, gradient))
    for kind, pairs in kinds.items():
        moved = [(parameter, _direction(gradient, generator)) for parameter, gradient in pairs]
        with torch.no_grad():
            there, back = (_loss_at(model, tokens, moved, step) for step in (EPSILON, -EPSILON))
            shares = [(gradient * way).sum() for (_, gradient), (_, way) in zip(pairs, moved, strict=True)]
        computed = float(torch.stack(shares).sum())
        yield kind, (there - back) / (2 * EPSILON), computed


def _direction(gradient: Tensor, generator: torch.Generator) -> Tensor:
    """Half of it the gradient's own, where a wrong one shows most, half of it random, where a missing one does."""
    random = torch.empty_like(gradient).normal_(generator=generator)
    unit = F.normalize(gradient.flatten(), dim=0) + F.normalize(random.flatten(), dim=0)
    return F.normalize(unit, dim=0).view_as(gradient)


def _loss_at(
    model: Transformer, tokens: Int[Tensor, "batch pos"], moved: list[tuple[Tensor, Tensor]], step: float
) -> float:
    """The loss a step away from where the parameters are, and are again afterwards."""
    before = [parameter.clone() for parameter, _ in moved]
    for parameter, direction in moved:
        parameter.add_(direction, alpha=step)
    loss = float(loss_of(model, tokens))
    for (parameter, _), values in zip(moved, before, strict=True):
        parameter.copy_(values)
    return loss
