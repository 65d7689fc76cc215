"""The bends between two linear maps, each with its derivative. Without one, two maps would be no more than one.

    gelu(x)      = x Φ(x)                          Φ: the share of a normal distribution below x
    gelu_tanh(x) = ½ x (1 + tanh(√(2/π) (x + 0.044715 x³)))        within 0.0005 of it; GPT-2's
    silu(x)      = x σ(x)                          σ(x) = 1 / (1 + e^−x)

Papers: GELU, Hendrycks & Gimpel 2016, arXiv:1606.08415; SiLU in a gate, Shazeer 2020, arXiv:2002.05202.
"""

import math

import numpy as np

from learn.reference.arrays import Array

TANH_SCALE, CUBE = math.sqrt(2 / math.pi), 0.044715


def normal_share_below(x: Array) -> Array:
    """Φ(x) = ½ (1 + erf(x/√2)); NumPy has no erf, the standard library does."""
    return 0.5 * (1 + np.vectorize(math.erf, otypes=[x.dtype])(x / math.sqrt(2)))


def gelu(x: Array) -> Array:
    """x where it is clearly positive, 0 where it is clearly negative, and smooth between."""
    return x * normal_share_below(x)


def gelu_slope(x: Array) -> Array:
    """Product rule: Φ(x) + x φ(x), with φ = Φ′ the bell curve."""
    bell = np.exp(-0.5 * x**2) / math.sqrt(2 * math.pi)
    return normal_share_below(x) + x * bell


def gelu_tanh(x: Array) -> Array:
    """GELU with Φ from a hyperbolic tangent."""
    return 0.5 * x * (1 + np.tanh(TANH_SCALE * (x + CUBE * x**3)))


def gelu_tanh_slope(x: Array) -> Array:
    """Product rule, and tanh′ = 1 − tanh², times the slope of what stands inside."""
    t = np.tanh(TANH_SCALE * (x + CUBE * x**3))
    return 0.5 * (1 + t) + 0.5 * x * (1 - t**2) * TANH_SCALE * (1 + 3 * CUBE * x**2)


def sigmoid(x: Array) -> Array:
    """1 / (1 + e^−x), by way of tanh, which never overflows."""
    return 0.5 * (1 + np.tanh(0.5 * x))


def silu(x: Array) -> Array:
    """x, let through by its own sigmoid."""
    return x * sigmoid(x)


def silu_slope(x: Array) -> Array:
    """Product rule, and σ′ = σ (1 − σ)."""
    s = sigmoid(x)
    return s + x * s * (1 - s)


ACTIVATIONS = {"gelu": (gelu, gelu_slope), "gelu_tanh": (gelu_tanh, gelu_tanh_slope), "silu": (silu, silu_slope)}
