"""RoPE (Su et al. 2021, arXiv:2104.09864): pairs of dimensions are turned by an angle that grows with the position.

    a[p, i] = p · θ^(−2i/d_head)
    (x_i, x_{i+d/2})  ->  (x_i cos a − x_{i+d/2} sin a,  x_{i+d/2} cos a + x_i sin a)

p is the position, i = 0 … d/2 − 1 the pair, d = d_head. θ is usually 10,000, so the first pair turns fastest. The dot
product of a turned query and a turned key depends on the difference of their positions alone. The paper pairs
neighbours, x_2i with x_{2i+1}; halves, as here and in Hugging Face's LLaMA, are the same in another order.

Backward. A rotation keeps lengths, so its way back is the rotation the other way round: the same with −a.

Shapes: x [batch head pos d_head] -> the same. No weights.
"""

import numpy as np

from learn.reference.arrays import Array


def angles(n_pos: int, d_head: int, theta: float) -> Array:
    """a[p, i] in radians: [pos pair]."""
    i = np.arange(d_head // 2)
    return np.arange(n_pos)[:, None] * theta ** (-2 * i / d_head)


def forward(x: Array, a: Array) -> Array:
    """Every pair of every head turned by its angle."""
    cos, sin = np.cos(a).astype(x.dtype), np.sin(a).astype(x.dtype)
    first, second = np.split(x, 2, axis=-1)
    return np.concatenate((first * cos - second * sin, second * cos + first * sin), axis=-1)


def backward(dy: Array, a: Array) -> Array:
    """The gradient turned back."""
    return forward(dy, -a)
