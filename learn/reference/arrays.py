"""The words that all files of the reference share: arrays, weights by name, and parts of a larger set of weights."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]  # float64 in the tests, float32 to follow torch; every file keeps the type it is given
Weights = dict[str, Array]  # by the names of the torch components


def under(weights: Weights, prefix: str) -> Weights:
    """The weights of one part, under the names that the part itself uses: "mlp.up_proj.weight" -> "up_proj.weight"."""
    return {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}


def prefixed(prefix: str, weights: Weights) -> Weights:
    """The way back: the names of a part become names of the whole."""
    return {prefix + name: value for name, value in weights.items()}


def sum_to_last_axes(values: Array, axes: int) -> Array:
    """Sum over all leading axes, so that only the last `axes` remain.

    A weight that forward used for every token of every text gets the sum of what all of them ask of it.
    """
    return values.sum(axis=tuple(range(values.ndim - axes)))


def softmax(scores: Array) -> Array:
    """exp(s) / Σ exp(s) along the last axis; a row of −∞ alone gives zeros.

    The largest score is subtracted first: that cancels in the fraction, and exp never overflows.
    """
    largest = scores.max(axis=-1, keepdims=True)
    powers = np.exp(scores - np.where(np.isfinite(largest), largest, 0))
    total = powers.sum(axis=-1, keepdims=True)
    return powers / np.where(total == 0, 1, total)


def softmax_backward(dp: Array, p: Array) -> Array:
    """The gradient of the scores, from that of the probabilities p = softmax(s).

        ∂p_i/∂s_j = p_i (δ_ij − p_j)      so      ds_j = p_j (dp_j − Σ_i p_i dp_i)

    δ_ij is 1 where i = j, else 0. Raising one score takes from all others; hence the mean that is subtracted.
    """
    return p * (dp - (p * dp).sum(axis=-1, keepdims=True))
