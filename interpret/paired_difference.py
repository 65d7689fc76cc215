"""Is one model better than another, or does it only look so? A paired comparison on the same text, with its interval.

Both models are scored on the same text. At each token (for different tokenizers: at each byte) the difference

    d_i = loss of the second model − loss of the first

cancels what makes a token hard for both, so that its mean d̄ is known far better than either loss alone.

How well, a block bootstrap says (Künsch 1989): neighbouring differences are alike (a name that one model knows comes
again and again), so whole blocks of neighbours are drawn with replacement, not single tokens. Which block is long
enough is not known beforehand: of several lengths the one with the largest error counts. The interval is studentized
(Efron & Tibshirani 1993, An Introduction to the Bootstrap, 12.5), which is right also for few and skewed blocks.

**What is promised.** The two models are given; the text is a sample of text of its kind. If on endless such text they
were equally good, a difference is called in at most 5 % of samples. The interval says 99 % for that: with short texts
and strong correlation a bootstrap promises more than it holds. tests/interpret/test_paired_difference.py holds it to
5 %, on made-up losses of which the truth is known, and on two trained models whose difference on a part of a text must
agree with that on the whole.

**What is not.** Two runs that differ only in their seed *are* two models, and on enough text their difference is found,
rightly. Whether the *configurations* differ can only be told by several seeds of each: `interpret/over_seeds.py`.
"""

import math
from dataclasses import dataclass

import numpy as np

from config.errors import TextError

CONFIDENCE = 0.99
RESAMPLES, CHUNK = 4_000, 250
FEWEST_BLOCKS, MOST_BLOCKS, SHORTEST_BLOCK = 20, 2_000, 32


@dataclass(frozen=True)
class PairedDifference:
    """The second model's loss minus the first one's, in `unit`, and the interval it lies in on text of this kind."""

    mean: float
    low: float
    high: float
    count: int  # tokens or bytes
    block: int  # of so many neighbours
    unit: str  # nats per token, or bits per byte

    @property
    def real(self) -> bool:
        """Whether a difference is called: zero lies outside of the interval."""
        return self.low > 0 or self.high < 0

    def sentence(self, first: str, second: str) -> str:
        """The verdict for a person. The names are text from outside: never draw it as Markdown or HTML."""
        things = f"{self.count:,} {'tokens' if 'token' in self.unit else 'bytes'}"
        if self.low == self.high == 0:
            return f"{first} and {second} predict these {things} exactly alike."
        low, high = sorted((abs(self.low), abs(self.high)))
        if self.real:
            better, worse = (first, second) if self.mean > 0 else (second, first)
            return (
                f"{better} is better than {worse}: it pays {abs(self.mean):.4f} {self.unit} less on these {things}, "
                f"and on more text like this between {low:.4f} and {high:.4f} less ({CONFIDENCE:.0%} interval)."
            )
        more = "more" if self.mean > 0 else "less"
        return (
            f"No difference can be told: {second} pays {abs(self.mean):.4f} {self.unit} {more} than {first} on these "
            f"{things}, and on more text like this anything from {self.low:+.4f} to {self.high:+.4f} would be no "
            f"surprise ({CONFIDENCE:.0%} interval)."
        )


def paired_difference(
    first: np.ndarray, second: np.ndarray, unit: str = "nats per token", seed: int = 0
) -> PairedDifference:
    """Compare two models by their losses `[token]` (or `[byte]`) on the same text, in the order of the text.

    Args:
        unit: of the losses.
        seed: of the bootstrap; the same losses and seed give the same interval.

    Raises:
        TextError: there are too few tokens to say anything, or the two arrays are not of one text.
    """
    if first.shape != second.shape:
        raise TextError(f"{first.size:,} and {second.size:,} losses are not of the same text")
    difference = second - first
    lengths = block_lengths(difference.size)
    means = {length: _block_means(difference, length) for length in lengths}
    errors = {length: blocks.std(ddof=1) / math.sqrt(blocks.size) for length, blocks in means.items()}
    block = max(errors, key=errors.__getitem__)
    mean = float(difference.mean())
    low, high = (mean - quantile * errors[block] for quantile in _student_quantiles(means[block], seed))
    return PairedDifference(mean, float(low), float(high), difference.size, block, unit)


def block_lengths(count: int) -> list[int]:
    """The lengths that are tried for `count` losses: powers of two, of which at least 20 and at most 2,000 fit.

    Raises:
        TextError: not even the shortest fits that often.
    """
    if count < FEWEST_BLOCKS * SHORTEST_BLOCK:
        raise TextError(
            f"{count:,} tokens are too few to tell two models apart: take a text with at least "
            f"{FEWEST_BLOCKS * SHORTEST_BLOCK:,}"
        )
    powers = [SHORTEST_BLOCK << power for power in range(40)]
    return [length for length in powers if FEWEST_BLOCKS <= count // length <= MOST_BLOCKS]


def _block_means(values: np.ndarray, length: int) -> np.ndarray:
    """Means of neighbouring blocks, `[block]`; what is left at the end is shorter than one and is left out."""
    return values[: values.size // length * length].reshape(-1, length).mean(axis=1)


def _student_quantiles(blocks: np.ndarray, seed: int) -> tuple[float, float]:
    """Upper and lower quantile of (mean of a resample − mean) / (standard error of the resample)."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(0, RESAMPLES, CHUNK):
        drawn = blocks[rng.integers(0, blocks.size, (CHUNK, blocks.size))]
        errors = drawn.std(axis=1, ddof=1) / math.sqrt(blocks.size)
        found.append((drawn.mean(axis=1) - blocks.mean()) / np.where(errors > 0, errors, np.inf))
    tail = (1 - CONFIDENCE) / 2
    upper, lower = np.quantile(np.concatenate(found), [1 - tail, tail])
    return float(upper), float(lower)
