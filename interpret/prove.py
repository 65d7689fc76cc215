"""Proves a configuration before it is trained: five checks that a wrong formula, mask, offset or gradient cannot pass.

    parameters     the built model has as many as config/sizes.py predicts (at full size, in shapes without memory)
    agreement      einops, torch and fused give the same logits and gradients for the same parameters
    causality      another token at t moves no logit before t, and does move those at t
    cache          token by token with a KV cache gives the logits of the whole text at once
    gradients      (L(θ + εv) − L(θ − εv)) / 2ε = v · ∂L/∂θ for every kind of parameter, in float64

A configuration that is too large for seconds is proved by a smaller one of the same kind (interpret/reduced.py); only
the parameters are counted at full size. The parameters are not the initial ones: gains away from 1, biases away from 0
and attention scores of size 1, or a forgotten gain and a wrong rotation would not show.
"""

import time
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from components.kv_cache import KVCache
from components.model import Transformer, WithoutDrawing, build_model
from config.catalog import IMPLEMENTATIONS
from config.model_config import ModelConfig
from config.sizes import count_parameters
from interpret.finite_differences import loss_of, slopes
from interpret.reduced import reduced

SEED = 1
TEXTS, LENGTH = 2, 20
SHORT = 12  # tokens of the one text of the finite differences: two passes for every kind of parameter
MOST_BUILT = 4_000  # MLPs, of all layers and experts, that are built without memory to count their parameters
# Largest difference that rounding explains, relative to the largest value that is compared.
SAME_FLOAT32 = 5e-5
SAME_GRADIENT = 1e-5  # of a finite difference in float64
SMALL_SLOPE = 1e-4  # below this share of the largest slope, the difference quotient is rounding


@dataclass(frozen=True)
class Check:
    """One of the five: whether it holds, and the numbers in a sentence."""

    name: str
    passed: bool
    sentence: str


@dataclass(frozen=True)
class Proof:
    """All checks of one configuration."""

    config: ModelConfig
    """The one that was proved, which may be smaller than the one asked about."""

    smaller: dict[str, tuple[int, int]]
    """By field what was made smaller for it: before, after."""

    checks: tuple[Check, ...]
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether everything holds."""
        return all(check.passed for check in self.checks)


def prove(config: ModelConfig) -> Proof:
    """Run the five checks; takes seconds, on the CPU.

    Raises:
        ConfigError: the configuration has no smaller one of its kind.
    """
    started = time.perf_counter()
    small, smaller = reduced(config)
    tokens = torch.randint(small.d_vocab, (TEXTS, min(LENGTH, small.n_ctx)), generator=_generator())
    models = {name: _spread(build_model(small, name, seed=SEED)).eval() for name in IMPLEMENTATIONS}
    checks = (
        _parameters(config),
        _agreement(models, tokens),
        _causality(models, tokens[:1]),
        _cache(models, tokens),
        _gradients(models, tokens[:1, :SHORT]),
    )
    return Proof(small, smaller, checks, time.perf_counter() - started)


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(SEED)


@torch.no_grad()
def _spread(model: Transformer) -> Transformer:
    """Parameters with which every mistake shows; equal for every implementation."""
    generator = _generator()
    for name, parameter in model.named_parameters():
        drawn = torch.empty(parameter.shape).normal_(generator=generator)
        if parameter.ndim > 1:
            parameter.copy_(drawn * parameter.shape[-1] ** -0.5)  # keeps the size of what goes through
        else:
            is_gain = name.endswith("weight") and not model.config.norm_unit_offset  # else what is added to 1
            parameter.copy_(0.3 * drawn + is_gain)
    return model


def _parameters(config: ModelConfig) -> Check:
    n_layers = min(config.n_layers, max(1, MOST_BUILT // (config.n_experts or 1)))
    says = f" (of the first {n_layers:,} of {config.n_layers:,} layers)" if n_layers < config.n_layers else ""
    config = config.replace(n_layers=n_layers)
    with torch.device("meta"), WithoutDrawing():
        built = sum(parameter.numel() for parameter in Transformer(config).parameters())
    predicted = count_parameters(config)
    return Check("Parameters as predicted", built == predicted, f"{built:,} built, {predicted:,} predicted{says}")


def _agreement(models: dict[str, Transformer], tokens: Int[Tensor, "batch pos"]) -> Check:
    (reference, expected), *others = [(name, _logits_and_gradients(model, tokens)) for name, model in models.items()]
    parts, worst = [], 0.0
    for name, found in others:
        logits = _difference(found[0], expected[0])
        gradients = max(_difference(a, b) for a, b in zip(found[1:], expected[1:], strict=True))
        worst = max(worst, logits, gradients)
        parts.append(
            f"{name} differs from {reference} by {_short(logits)} in logits and {_short(gradients)} in gradients"
        )
    says = f"{'; '.join(parts)} (of the largest value; allowed {_short(SAME_FLOAT32)})"
    return Check("Implementations agree", worst <= SAME_FLOAT32, says)


def _logits_and_gradients(model: Transformer, tokens: Int[Tensor, "batch pos"]) -> list[Tensor]:
    """The logits, and the gradient of the loss by every parameter."""
    parameters = list(model.parameters())
    gradients = torch.autograd.grad(loss_of(model, tokens), parameters, allow_unused=True, materialize_grads=True)
    return [model(tokens).detach(), *gradients]


def _difference(found: Tensor, expected: Tensor) -> float:
    """The largest difference, as a share of the largest value; infinite where something is no number."""
    largest = expected.abs().amax().clamp(min=1e-6)
    return _number((found - expected).abs().amax() / largest)


def _short(value: float) -> str:
    """5e-7, 0."""
    return f"{value:.0e}".replace("e-0", "e-").replace("0e+00", "0")


def _number(value: Tensor | float) -> float:
    """The value; infinite where it is no number, which no bound allows."""
    value = float(value)
    return value if value == value else float("inf")


@torch.no_grad()
def _causality(models: dict[str, Transformer], text: Int[Tensor, "1 pos"]) -> Check:
    """Every position is changed once, in every implementation."""
    leaks, moves, where = 0.0, float("inf"), ""
    length = text.shape[1]
    d_vocab = next(iter(models.values())).config.d_vocab
    is_only_token = d_vocab == 1
    changed = text.repeat(length, 1)
    changed.diagonal().add_(1).remainder_(d_vocab)
    for name, model in models.items():
        before = model(text)[0]
        for at, row in enumerate(changed):  # not as one batch, which may round otherwise than the first
            after = model(row[None])[0]
            if at and (leak := _difference(after[:at], before[:at])) > leaks:
                leaks, where = leak, f" ({name}, token {at})"
            moves = min(moves, _difference(after[at], before[at]))
    says = (
        f"another token moves earlier logits by at most {_short(leaks)}{where}, and its own by at least {_short(moves)}"
    )
    return Check("Nothing sees the future", leaks <= SAME_FLOAT32 and (moves > SAME_FLOAT32 or is_only_token), says)


@torch.no_grad()
def _cache(models: dict[str, Transformer], tokens: Int[Tensor, "batch pos"]) -> Check:
    """A first piece, three tokens behind it at once (the mask is no square then), and the rest one by one."""
    worst, where = 0.0, ""
    config = next(iter(models.values())).config
    if config.angles_grow:  # of a longer text no key can be cached, and the model refuses
        tokens = tokens[:, : config.rope_trained_ctx]
    first = tokens.shape[1] // 3
    pieces = [tokens[:, :first], tokens[:, first : first + 3], *tokens[:, first + 3 :].split(1, dim=1)]
    for name, model in models.items():
        cache = KVCache(model.config, batch=len(tokens))
        found = torch.cat([model(piece, cache=cache) for piece in pieces if piece.numel()], dim=1)
        if (difference := _difference(found, model(tokens))) > worst:
            worst, where = difference, f" ({name})"
    limits = f"at most {_short(worst)}{where} (allowed {_short(SAME_FLOAT32)})"
    says = f"{tokens.shape[1]} tokens read piece by piece differ from all at once by {limits}"
    return Check("Cache equals the full pass", worst <= SAME_FLOAT32, says)


def _gradients(models: dict[str, Transformer], tokens: Int[Tensor, "batch pos"]) -> Check:
    """Along one direction through the parameters of each kind, half of it the gradient's own and half of it random."""
    worst, where, count = 0.0, "", 0
    for implementation, model in models.items():
        model.double()
        found = list(slopes(model, tokens, _generator()))
        small = SMALL_SLOPE * max(abs(measured) for _, measured, _ in found) + 1e-30
        for name, measured, computed in found:
            error = _number(abs(measured - computed) / max(abs(measured), abs(computed), small))
            count += 1
            if error > worst:
                worst, where = error, f" ({implementation}, {name})"
    says = f"{count} finite differences in float64 match the gradients within {_short(worst)}{where}"
    return Check("Gradients are right", worst <= SAME_GRADIENT, f"{says} (allowed {_short(SAME_GRADIENT)})")
