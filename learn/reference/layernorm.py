"""LayerNorm (Ba, Kiros & Hinton 2016, arXiv:1607.06450): mean 0 and variance 1 for each token, then scale and offset.

    x̂ = (x − μ) / √(σ² + ε)               μ, σ² over the d values of one token
    y = x̂ ⊙ γ + β

Backward. γ and β are used for every token: dγ = Σ dy ⊙ x̂, dβ = Σ dy. With g = dy ⊙ γ and r = 1/√(σ² + ε), each x_i
acts three ways: on its own x̂_i (r g_i), on μ (−r · mean(g)), and on σ² (−r · x̂_i · mean(g ⊙ x̂)). Added up:

    dx = r · ( g − mean(g) − x̂ · mean(g ⊙ x̂) )

In words: what would change the mean or the size of the vector is taken out, because the norm takes both out anyway.

Shapes: x [… d] -> y [… d]. Weights: "weight" = γ [d], "bias" = β [d], or none.
"""

import numpy as np

from learn.reference.arrays import Array, Weights, sum_to_last_axes

Saved = tuple[Array, Array, Weights]


def forward(x: Array, weights: Weights, eps: float) -> tuple[Array, Saved]:
    """y, and what backward needs."""
    mu = x.mean(axis=-1, keepdims=True)
    variance = ((x - mu) ** 2).mean(axis=-1, keepdims=True)  # divided by d, not by d − 1
    r = 1 / np.sqrt(variance + eps)
    x_hat = (x - mu) * r
    y = x_hat * weights["weight"]
    if "bias" in weights:
        y = y + weights["bias"]
    return y, (x_hat, r, weights)


def backward(dy: Array, saved: Saved) -> tuple[Array, Weights]:
    """dx, and the gradients of γ and β."""
    x_hat, r, weights = saved
    g = dy * weights["weight"]
    dx = r * (g - g.mean(axis=-1, keepdims=True) - x_hat * (g * x_hat).mean(axis=-1, keepdims=True))
    gradients = {"weight": sum_to_last_axes(dy * x_hat, 1)}
    if "bias" in weights:
        gradients["bias"] = sum_to_last_axes(dy, 1)
    return dx, gradients
