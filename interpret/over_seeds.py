"""Is a configuration better than another? What several seeds of each say, where a single pair of runs cannot.

Two runs of one configuration end at different losses when their seeds differ: other first weights, other batches. So a
difference between two runs may be the configuration's or the seeds'. With n₁ and n₂ seeds of each, Student's interval
(1908) for the difference of their means knows the spread of the seeds from the runs themselves:

    s² = ((n₁−1) s₁² + (n₂−1) s₂²) / ν     ν = n₁ + n₂ − 2     mean₂ − mean₁ ± t_ν s √(1/n₁ + 1/n₂)

Seeds of one and the same configuration on both sides (A/A) are called different in 5 % of cases, however few they are,
as far as their losses are spread like a normal distribution. Two configurations whose seeds spread very differently
want about as many seeds on both sides.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from config.errors import TextError

CONFIDENCE = 0.95
FEWEST = 2


@dataclass(frozen=True)
class OverSeeds:
    """The mean loss of the second configuration minus that of the first, and its interval."""

    mean: float
    low: float
    high: float
    counts: tuple[int, int]  # seeds of each

    @property
    def real(self) -> bool:
        """Whether a difference is called: zero lies outside of the interval."""
        return self.low > 0 or self.high < 0

    def sentence(self, first: str, second: str, unit: str = "bits per byte") -> str:
        """The verdict for a person."""
        seeds = f"over {self.counts[0]} seeds of the one and {self.counts[1]} of the other"
        interval = f"between {self.low:+.4f} and {self.high:+.4f}, {CONFIDENCE:.0%} interval"
        if self.real:
            better = first if self.mean > 0 else second
            return f"{better} is better {seeds}: by {abs(self.mean):.4f} {unit} ({interval})."
        return f"No difference can be told {seeds}: {second} pays {self.mean:+.4f} {unit} ({interval})."


def over_seeds(first: Sequence[float], second: Sequence[float]) -> OverSeeds:
    """Compare two configurations by the final losses of their seeds, on the same text.

    Raises:
        TextError: one of them has fewer than two seeds.
    """
    if min(len(first), len(second)) < FEWEST:
        raise TextError("each configuration needs at least two runs that differ in their seed alone")
    mean = float(np.mean(second) - np.mean(first))
    freedom = len(first) + len(second) - 2
    squares = sum(float(np.var(losses)) * len(losses) for losses in (first, second))
    error = math.sqrt(squares / freedom * (1 / len(first) + 1 / len(second)))
    reach = student_quantile((1 + CONFIDENCE) / 2, freedom) * error
    return OverSeeds(mean, mean - reach, mean + reach, (len(first), len(second)))


def student_quantile(probability: float, freedom: float) -> float:
    """The quantile above one half of Student's t, from its density summed up (trapezoids, t = sinh u)."""
    u = np.linspace(0.0, 12.0, 20_001)
    t = np.sinh(u)
    log_scale = math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2) - math.log(freedom * math.pi) / 2
    density = np.exp(log_scale - (freedom + 1) / 2 * np.log1p(t**2 / freedom)) * np.cosh(u)
    mass = np.concatenate(([0.0], np.cumsum((density[1:] + density[:-1]) / 2 * np.diff(u))))
    return float(np.interp(probability - 0.5, mass, t))
