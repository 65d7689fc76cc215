"""RMSNorm (Zhang & Sennrich 2019, arXiv:1910.07467): root mean square 1 for each token, then a scale.

    x̂ = x / √(mean(x²) + ε)               y = x̂ ⊙ γ

Backward. As LayerNorm's without the mean: with g = dy ⊙ γ and r = 1/√(mean(x²) + ε),

    dx = r · ( g − x̂ · mean(g ⊙ x̂) )       dγ = Σ dy ⊙ x̂

Only the part of g along x̂ is taken out: lengthening x changes nothing, so nothing may ask for it.

Shapes: x [… d] -> y [… d]. Weights: "weight" = γ [d].
"""

import numpy as np

from learn.reference.arrays import Array, Weights, sum_to_last_axes

Saved = tuple[Array, Array, Weights]


def forward(x: Array, weights: Weights, eps: float) -> tuple[Array, Saved]:
    """y, and what backward needs."""
    r = 1 / np.sqrt((x**2).mean(axis=-1, keepdims=True) + eps)
    x_hat = x * r
    return x_hat * weights["weight"], (x_hat, r, weights)


def backward(dy: Array, saved: Saved) -> tuple[Array, Weights]:
    """dx, and the gradient of γ."""
    x_hat, r, weights = saved
    g = dy * weights["weight"]
    dx = r * (g - x_hat * (g * x_hat).mean(axis=-1, keepdims=True))
    return dx, {"weight": sum_to_last_axes(dy * x_hat, 1)}
