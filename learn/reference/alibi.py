"""ALiBi (Press et al. 2021, arXiv:2108.12409): scores fall with the distance, steeply in some heads, gently in others.

    score[h, i, j] = q_i · k_j / √d_head − m_h (i − j)          m_h = 2^(−8h/n), h = 1 … n

For n that is no power of two: with p the power of two below n, the slopes of p heads, then every second slope of 2p.
Nothing is learned, and a constant added to a score changes no other gradient: there is no backward.
"""

import numpy as np

from learn.reference.arrays import Array


def slopes(n_heads: int) -> Array:
    """m for each head: [head]."""
    p = 2 ** int(np.log2(n_heads))
    own = 2.0 ** (-8 * np.arange(1, p + 1) / p)
    between = 2.0 ** (-4 * np.arange(1, 2 * p + 1, 2) / p)
    return np.concatenate((own, between[: n_heads - p]))


def bias(n_heads: int, n_pos: int) -> Array:
    """−m_h (i − j): [head query key]. Of the future it would be a bonus; the causal mask is there all the same."""
    distance = np.arange(n_pos)[:, None] - np.arange(n_pos)
    return -slopes(n_heads)[:, None, None] * distance
