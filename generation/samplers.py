"""From logits to the next token: a chain of small stages, and the draw that ends it.

A stage (generation/sampler.py) maps logits [batch d_vocab] to logits of the same shape. generation/penalties.py has
those that look at what was written, generation/truncation.py those that set what may not be drawn to −∞; temperature
and greedy are here. `Chain` applies stages from left to right and prints their order; `build_samplers` makes the usual
one, in the order of Hugging Face's `generate`:

    bias → repetition → frequency → presence → n-grams → minimum length → temperature → top-k → top-p → min-p → typical

`draw` then picks a token by inverting the cumulated distribution with one uniform number a row, so that the same
number gives the same token on every device.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from config.errors import CheckpointError, ConfigError, Problem
from generation.penalties import (
    FrequencyPenalty,
    LogitBias,
    MinNewTokens,
    NoRepeatNgram,
    PresencePenalty,
    RepetitionPenalty,
)
from generation.sampler import Logits, Sampler, Text, refuse
from generation.truncation import MinP, TopK, TopP, Typical

__all__ = [
    "Chain", "FrequencyPenalty", "Greedy", "LogitBias", "MinNewTokens", "MinP", "NoRepeatNgram", "PresencePenalty",
    "RepetitionPenalty", "Sampler", "Temperature", "Text", "TopK", "TopP", "Typical", "build_samplers", "draw",
]  # fmt: skip

OWN_DISTRIBUTION = "the model's own distribution"


@dataclass(frozen=True)
class Temperature(Sampler):
    """Divide the logits: below 1 sharpens the distribution, above 1 flattens it."""

    temperature: float

    def __post_init__(self) -> None:
        if not 0 < self.temperature < math.inf:
            message = f"temperature {self.temperature} must be above 0 and finite; for no randomness use greedy"
            raise refuse("temperature", message)

    def __call__(self, logits: Logits, texts: Sequence[Text] = ()) -> Logits:
        return logits / self.temperature

    def __str__(self) -> str:
        return f"temperature {self.temperature:g}"


@dataclass(frozen=True)
class Greedy(Sampler):
    """Keep only the most likely token, the lowest id where several are equal."""

    def __call__(self, logits: Logits, texts: Sequence[Text] = ()) -> Logits:
        best = logits.argmax(dim=-1, keepdim=True)
        return torch.full_like(logits, -math.inf).scatter(-1, best, 0.0)

    def __str__(self) -> str:
        return "greedy"


@dataclass(frozen=True)
class Chain(Sampler):
    """Stages applied from left to right."""

    stages: tuple[Sampler, ...]

    def __call__(self, logits: Logits, texts: Sequence[Text] = ()) -> Logits:
        for stage in self.stages:
            logits = stage(logits, texts)
        return logits

    def trace(self, logits: Logits, texts: Sequence[Text] = ()) -> list[tuple[str, Float[Tensor, "batch d_vocab"]]]:
        """The model's own probabilities, then those after each stage, with the names of the stages."""
        found = [(OWN_DISTRIBUTION, logits.softmax(dim=-1))]
        for stage in self.stages:
            logits = stage(logits, texts)
            found.append((str(stage), logits.softmax(dim=-1)))
        return found

    def __str__(self) -> str:
        return " → ".join(str(stage) for stage in self.stages) or OWN_DISTRIBUTION


def build_samplers(
    temperature: float = 0.8,
    top_k: int | None = None,
    top_p: float | None = 0.9,
    greedy: bool = False,
    *,
    min_p: float | None = None,
    typical: float | None = None,
    repetition_penalty: float | None = None,
    frequency_penalty: float | None = None,
    presence_penalty: float | None = None,
    no_repeat_ngram_size: int | None = None,
    min_new_tokens: int | None = None,
    stop_tokens: Collection[int] = (),
    logit_bias: Mapping[int, float] | None = None,
) -> Chain:
    """The usual chain, in the order of the docstring above; greedy replaces temperature and all that follows it.

    Temperature 0 is the limit of ever lower temperatures and therefore greedy. What changes nothing is left out:
    None, temperature and repetition penalty 1, top-k, min-p, the other penalties, n-gram size and minimum length 0,
    top-p and typical 1, and a minimum length without tokens that could end the text.

    Raises:
        ConfigError: with a problem for every setting that is out of range.
    """
    ends = frozenset(stop_tokens)
    before = (  # the stage, and whether it has nothing to do
        (lambda: LogitBias(tuple(sorted((logit_bias or {}).items()))), not logit_bias),
        (lambda: RepetitionPenalty(repetition_penalty or 0.0), repetition_penalty in (None, 1)),
        (lambda: FrequencyPenalty(frequency_penalty or 0.0), frequency_penalty in (None, 0)),
        (lambda: PresencePenalty(presence_penalty or 0.0), presence_penalty in (None, 0)),
        (lambda: NoRepeatNgram(no_repeat_ngram_size or 0), no_repeat_ngram_size in (None, 0)),
        (lambda: MinNewTokens(min_new_tokens or 0, ends), not min_new_tokens or (min_new_tokens > 0 and not ends)),
    )
    narrowing = (
        (lambda: Temperature(temperature), temperature in (0, 1)),
        (lambda: TopK(top_k or 0), top_k in (None, 0)),
        (lambda: TopP(top_p or 0.0), top_p in (None, 1)),
        (lambda: MinP(min_p or 0.0), min_p in (None, 0)),
        (lambda: Typical(typical or 0.0), typical in (None, 1)),
    )
    problems: list[Problem] = []
    kept: list[list[Sampler]] = [[], []]
    for stages, candidates in zip(kept, (before, narrowing), strict=True):
        for make, is_idle in candidates:
            try:
                stages += [] if is_idle else [make()]
            except ConfigError as error:
                problems += error.problems
    if problems:
        raise ConfigError(problems)
    return Chain((*kept[0], *((Greedy(),) if greedy or temperature == 0 else kept[1])))


def draw(logits: Logits, uniforms: Sequence[float]) -> Int[Tensor, "batch 1"]:
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
