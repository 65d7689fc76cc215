"""Sinusoidal positions (Vaswani et al. 2017, arXiv:1706.03762, section 3.5): fixed waves, from fast to slow.

    PE[p, 2i] = sin(p / 10000^(2i/d))          PE[p, 2i+1] = cos(p / 10000^(2i/d))

p is the position, i = 0 … d/2 − 1 counts the waves, d = d_model. The first wave is once round after 2π positions, the
last one after almost 2π · 10000 in a wide model.

Added to the token's vector as a learned table is (embed.add_positions). Nothing is learned, so nothing comes back.
"""

import numpy as np

from learn.reference.arrays import Array


def table(n_ctx: int, d_model: int) -> Array:
    """PE for every position: [n_ctx d_model]."""
    pair = np.arange(d_model // 2)
    angles = np.arange(n_ctx)[:, None] / 10_000 ** (2 * pair / d_model)
    waves = np.empty((n_ctx, d_model))
    waves[:, 0::2], waves[:, 1::2] = np.sin(angles), np.cos(angles)
    return waves
