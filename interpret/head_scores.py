"""What each head does, in four numbers that are read off its attention pattern.

    previous token   mean over queries q >= 1 of pattern[q, q − 1]
    first token      mean over queries q >= 1 of pattern[q, 0]                  the "sink" of heads with nothing to do
    entropy          mean over queries q >= 1 of −Σ p log2 p of row q, in bits   0: one token; log2(q + 1): all alike
    induction        on random tokens that are repeated once, … a b … a b …: mean over the second half of
                     pattern[q, q − period + 1]; of several periods the lowest

An induction head finds the last time that the present token occurred, and looks at what came after it. It needs two
layers: an earlier head has to tell every token what stood before it. A model with one layer cannot do it, whatever it
is trained on. Random tokens are taken because nothing else about them could be learned, all different within a text so
that there is one place to look at, and with several periods because of a cheat that one layer is enough for: a head
that always looks 31 tokens back is perfect on texts that repeat after 32, and finds nothing in any other.

Papers: induction, Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits", and Olsson et al. 2022,
arXiv:2209.11895, appendix "Head activation evaluators" (a score on repeated random tokens; that the lowest of several
periods counts is ours); sinks, Xiao et al. 2023, arXiv:2309.17453, section 3.1.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from components.model import Transformer
from interpret.activations import capture, layer_points
from interpret.attention_patterns import NO_PATTERNS, Patterns

LONGEST_PERIOD = 32  # tokens before they are repeated
SHARES = (1.0, 0.8, 0.6)  # of it, for the periods
RANDOM_TEXTS = 4  # of each period


InductionScores = dict[int, Float[Tensor, "head"]]


@dataclass(frozen=True)
class HeadScores:
    """One head; shares of attention are between 0 and 1. None: the text or the context is too short to say."""

    layer: int
    head: int
    previous_token: float | None
    first_token: float | None
    entropy_bits: float | None
    induction: float | None


def head_scores(patterns: Patterns, induction: InductionScores) -> list[HeadScores]:
    """The scores of all heads, layer by layer.

    Args:
        patterns: of the text that previous token, first token and entropy are about.
        induction: as `induction_scores` gives them, which are the same for every text; empty leaves them out.
    """
    found = []
    for layer, pattern in patterns.items():
        columns: list[list[float | None]] = [
            _listed(mean_at_offset(pattern, 1), len(pattern)),
            _listed(pattern[:, 1:, 0].mean(dim=1), len(pattern)),
            _listed(entropy_bits(pattern), len(pattern)),
            _listed(induction.get(layer), len(pattern)),
        ]
        rows = zip(*columns, strict=True)
        found += [HeadScores(layer, head, *row) for head, row in enumerate(rows)]
    return found


def mean_at_offset(pattern: Float[Tensor, "head query key"], offset: int) -> Float[Tensor, "head"]:
    """How much the queries look `offset` tokens back, on average over those that have such a token; else NaN."""
    return pattern.diagonal(-offset, dim1=-2, dim2=-1).mean(dim=-1)


def entropy_bits(pattern: Float[Tensor, "head query key"]) -> Float[Tensor, "head"]:
    """How widely the queries look, the first one left out: it has no choice."""
    rows = pattern[:, 1:]
    return -torch.special.xlogy(rows, rows).sum(dim=-1).mean(dim=-1) / torch.log(torch.tensor(2.0))


def induction_scores(model: Transformer, seed: int = 0) -> InductionScores:
    """The induction score of every head by layer; empty where the context is too short for a repetition.

    Raises:
        ValueError: the model forms no patterns.
    """
    names = layer_points(model, "attn.hook_pattern")
    if not names:
        raise ValueError(NO_PATTERNS)
    longest = min(LONGEST_PERIOD, model.config.n_ctx // 2, model.config.d_vocab)
    periods = sorted({round(longest * share) for share in SHARES})
    if len(periods) < len(SHARES):
        return {}
    lowest: dict[int, Tensor] = {}
    for period in periods:
        tokens = repeated_random_tokens(model.config.d_vocab, period, RANDOM_TEXTS, seed)
        found = capture(model, tokens, names.values()).values
        for layer, name in names.items():
            # The diagonal begins at query period − 1, the last of the first half, which has nothing to find yet.
            score = found[name].diagonal(1 - period, dim1=-2, dim2=-1)[..., 1:].mean(dim=(0, 2))
            lowest[layer] = torch.minimum(score, lowest.get(layer, score))
    return lowest


def repeated_random_tokens(d_vocab: int, period: int, texts: int, seed: int) -> Int[Tensor, "batch pos"]:
    """Random texts of `period` different tokens, each standing there twice."""
    generator = torch.Generator().manual_seed(seed)
    once = torch.stack([torch.randperm(d_vocab, generator=generator)[:period] for _ in range(texts)])
    return once.repeat(1, 2)


def _listed(values: Tensor | None, n_heads: int) -> list[float | None]:
    """Numbers of all heads; None for what could not be measured."""
    if values is None:
        return [None] * n_heads
    return [value if value == value else None for value in values.tolist()]  # NaN is the mean of nothing
