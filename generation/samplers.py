"""From logits to the next token: small stages that narrow the distribution, and the draw that ends them.

A stage maps logits [batch d_vocab] to logits of the same shape: `Temperature` divides them, the others set what may not
be drawn to −∞. `Chain` applies stages from left to right and prints their order; `build_samplers` makes the usual one,
temperature → top-k → top-p (the order of Hugging Face's `generate`). `draw` then picks a token by inverting the
cumulated distribution with one uniform number a row, so that the same number gives the same token on every device.

Top-k: Fan et al. 2018 (arXiv:1805.04833). Top-p, "nucleus": Holtzman et al. 2019 (arXiv:1904.09751).
Tokens with equal logits share their fate: where the k-th and the next are equal, both stay.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from config.errors import CheckpointError, ConfigError, Problem

# Top-p looks at this many candidates before it sorts a whole vocabulary (50,257 logits: 0.3 ms instead of 4).
TOP_P_CANDIDATES = 256


class Sampler(ABC):
    """One stage between the model's logits and the draw. `str()` names it for people."""

    @abstractmethod
    def __call__(self, logits: Float[Tensor, "batch d_vocab"]) -> Float[Tensor, "batch d_vocab"]:
        """The logits after this stage; never changes its input."""


@dataclass(frozen=True)
class Temperature(Sampler):
    """Divide the logits: below 1 sharpens the distribution, above 1 flattens it."""

    temperature: float

    def __post_init__(self) -> None:
        if not 0 < self.temperature < math.inf:
            message = f"temperature {self.temperature} must be above 0 and finite; for no randomness use greedy"
            raise ConfigError([Problem("temperature", message)])

    def __call__(self, logits: Float[Tensor, "batch d_vocab"]) -> Float[Tensor, "batch d_vocab"]:
        return logits / self.temperature

    def __str__(self) -> str:
        return f"temperature {self.temperature:g}"


@dataclass(frozen=True)
class TopK(Sampler):
    """Keep the k most likely tokens; a k larger than the vocabulary keeps all."""

    k: int

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ConfigError([Problem("top_k", f"top_k {self.k} must be at least 1")])

    def __call__(self, logits: Float[Tensor, "batch d_vocab"]) -> Float[Tensor, "batch d_vocab"]:
        if self.k >= logits.shape[-1]:
            return logits
        kth = logits.topk(self.k, dim=-1).values[:, -1:]  # [batch 1]
        return logits.masked_fill(logits < kth, -math.inf)

    def __str__(self) -> str:
        return f"top-k {self.k}"


@dataclass(frozen=True)
class TopP(Sampler):
    """Keep the fewest most likely tokens whose probabilities together reach p; the first one always stays."""

    p: float

    def __post_init__(self) -> None:
        if not 0 <= self.p <= 1:
            raise ConfigError([Problem("top_p", f"top_p {self.p} must be between 0 and 1")])

    def __call__(self, logits: Float[Tensor, "batch d_vocab"]) -> Float[Tensor, "batch d_vocab"]:
        if self.p == 1:  # a rounded sum may reach 1 before the last token
            return logits
        probabilities = logits.softmax(dim=-1)
        smallest = self._smallest_kept(probabilities, min(TOP_P_CANDIDATES, logits.shape[-1]))
        return logits.masked_fill(probabilities < smallest, -math.inf)

    def _smallest_kept(
        self, probabilities: Float[Tensor, "batch d_vocab"], candidates: int
    ) -> Float[Tensor, "batch 1"]:
        """Probability of the last token that stays, sought among so many candidates and, if they don't do, all."""
        top = probabilities.topk(candidates, dim=-1).values
        mass_before = top.cumsum(dim=-1, dtype=torch.float64) - top
        # Not "mass including it < p": that would drop the token that crosses p, and with it perhaps the only one.
        kept = (mass_before < self.p).sum(dim=-1, keepdim=True).clamp(min=1)
        d_vocab = probabilities.shape[-1]
        if candidates < d_vocab and int(kept.max()) == candidates:
            return self._smallest_kept(probabilities, d_vocab)
        return top.gather(-1, kept - 1)

    def __str__(self) -> str:
        return f"top-p {self.p:g}"


@dataclass(frozen=True)
class Greedy(Sampler):
    """Keep only the most likely token, the lowest id where several are equal."""

    def __call__(self, logits: Float[Tensor, "batch d_vocab"]) -> Float[Tensor, "batch d_vocab"]:
        best = logits.argmax(dim=-1, keepdim=True)
        return torch.full_like(logits, -math.inf).scatter(-1, best, 0.0)

    def __str__(self) -> str:
        return "greedy"


@dataclass(frozen=True)
class Chain(Sampler):
    """Stages applied from left to right; `stages` may be walked to look at the distribution between them."""

    stages: tuple[Sampler, ...]

    def __call__(self, logits: Float[Tensor, "batch d_vocab"]) -> Float[Tensor, "batch d_vocab"]:
        for stage in self.stages:
            logits = stage(logits)
        return logits

    def __str__(self) -> str:
        return " → ".join(str(stage) for stage in self.stages) or "the model's own distribution"


def build_samplers(
    temperature: float = 0.8, top_k: int | None = None, top_p: float | None = 0.9, greedy: bool = False
) -> Chain:
    """The usual chain: temperature → top-k → top-p, or greedy alone.

    Temperature 0 is the limit of ever lower temperatures and therefore greedy. What changes nothing is left out:
    temperature 1, top_k None or 0, top_p None or 1.

    Raises:
        ConfigError: with a problem for every setting that is out of range.
    """
    problems: list[Problem] = []
    stages: list[Sampler] = []
    for kind, value, is_off in (
        (Temperature, temperature, temperature in (0, 1)),
        (TopK, top_k, top_k in (None, 0)),
        (TopP, top_p, top_p in (None, 1)),
    ):
        if is_off:
            continue
        try:
            stages.append(kind(value))  # type: ignore[arg-type]
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return Chain((Greedy(),) if greedy or temperature == 0 else tuple(stages))


def draw(logits: Float[Tensor, "batch d_vocab"], uniforms: Sequence[float]) -> Int[Tensor, "batch 1"]:
    """One token a row: the first whose cumulated probability passes the row's uniform number in [0, 1).

    Raises:
        CheckpointError: the logits are not numbers, as after a training that diverged.
    """
    # float64: 50,000 float32 steps would round the rare tokens away. A token of probability 0 adds no step, so
    # "strictly past" (right=True) never lands on it, and u · total < total in float64 for every u < 1.
    cumulated = logits.softmax(dim=-1).cumsum(dim=-1, dtype=torch.float64)
    totals = cumulated[:, -1].tolist()
    if not all(map(math.isfinite, totals)):
        raise CheckpointError("the model's output is not finite (NaN or infinity): its training diverged")
    targets = torch.tensor([[u * total] for u, total in zip(uniforms, totals, strict=True)], dtype=torch.float64)
    return torch.searchsorted(cumulated, targets.to(logits.device), right=True)
