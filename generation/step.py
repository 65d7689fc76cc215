"""What one step of a generation gives out, and how it is drawn from the logits."""

from collections.abc import Sequence
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from generation.sampler import Sampler, Text
from generation.samplers import draw


class TokenAndProbability(NamedTuple):
    """What a step unpacks to: `token, probability = step`."""

    token: int
    probability: float
    """The probability the model itself gave the token, before temperature and the other stages."""


class Step(TokenAndProbability):
    """One generated token."""

    log_probability: float
    """Natural logarithm of `probability`, exact where that is too small for a number."""
    alternatives: tuple[TokenAndProbability, ...]
    """The model's most likely tokens, likeliest first, as many as were asked for."""

    def __new__(
        cls,
        token: int,
        probability: float,
        log_probability: float,
        alternatives: tuple[TokenAndProbability, ...] = (),
    ) -> "Step":
        step = super().__new__(cls, token, probability)
        step.log_probability, step.alternatives = log_probability, alternatives
        return step


def draw_steps(
    logits: Float[Tensor, "batch d_vocab"],
    samplers: Sampler,
    texts: Sequence[Text],
    uniforms: Sequence[float],
    n_alternatives: int = 0,
) -> list[Step]:
    """Draw one token a row, each with its own uniform number in [0, 1).

    Raises:
        CheckpointError: the logits are not finite.
    """
    tokens = draw(samplers(logits, texts), uniforms)  # [batch 1]
    log_probabilities = logits.log_softmax(dim=-1)
    own = log_probabilities.gather(-1, tokens)
    alternatives: list[tuple[TokenAndProbability, ...]] = [()] * len(logits)
    if n_alternatives:
        best = log_probabilities.topk(min(n_alternatives, logits.shape[-1]), dim=-1)
        rows = zip(best.indices.tolist(), best.values.exp().tolist(), strict=True)
        alternatives = [tuple(map(TokenAndProbability, *row)) for row in rows]
    return [
        Step(*values)
        for values in zip(
            tokens[:, 0].tolist(), own.exp()[:, 0].tolist(), own[:, 0].tolist(), alternatives, strict=True
        )
    ]
