"""Activations: what bends the hidden values of an MLP, so that two matrices say more than one.

    relu     max(0, x)                                              everything negative is cut off
    relu2    max(0, x)²                                             strong values grow faster than weak ones
    silu     x · sigmoid(x)                                         also called Swish
    gelu     x · Φ(x), Φ the normal distribution function           smooth, slightly below 0 for small negative x
             exact   x/2 · (1 + erf(x / √2))
             tanh    x/2 · (1 + tanh(√(2/π) · (x + 0.044715 x³)))
    clamped  x · sigmoid(1.702 x), the gate of gpt-oss (swiglu_clamp)    close to GELU, of which it once was a stand-in

Papers: ReLU in the transformer, Vaswani et al. 2017, arXiv:1706.03762, section 3.3. Squared, So et al. 2021 (Primer),
arXiv:2109.08668. SiLU, Elfwing et al. 2017, arXiv:1702.03118. GELU, both forms, Hendrycks & Gimpel 2016,
arXiv:1606.08415, section 2. Shapes: any -> the same.

GPT-2 was trained with the tanh form of GELU (gelu_form = "tanh"). The two differ by at most 4.73e-4, at |x| = 2.70:
nothing for training, but a released model must be run in its own form. GELU(1) = 0.841345 exactly, 0.841192 by tanh.

The implementation `fused` takes torch's kernels. In compiled code it takes GELU with its slope instead (`GeluWithSlope`
below): value and slope need the same exponential, and a slope that is kept makes the backward pass one product.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from components.kernel_rules import own_gelu_is_faster
from config.model_config import ModelConfig

Activation = Callable[[Tensor], Tensor]

# The MLP's name says its activation; the gated ones (components/gated_mlp.py) have names of their own.
ACTIVATION_OF_GATE = {"swiglu": "silu", "geglu": "gelu", "reglu": "relu"}


def relu(x: Tensor) -> Tensor:
    """max(0, x)."""
    return x * (x > 0)


def relu_squared(x: Tensor) -> Tensor:
    """max(0, x)²."""
    return x * x * (x > 0)


def silu(x: Tensor) -> Tensor:
    """x · sigmoid(x); not x / (1 + exp(−x)), whose gradient overflows at x = −89."""
    return x * torch.sigmoid(x)


def sharp_silu(x: Tensor) -> Tensor:
    """SiLU, steeper by 1.702."""
    return x * torch.sigmoid(1.702 * x)


def gelu(x: Tensor, form: str) -> Tensor:
    """Both forms as they stand above."""
    if form == "exact":
        return 0.5 * x * (1.0 + torch.erf(x / math.sqrt(2.0)))
    return 0.5 * x * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))


def gelu_and_slope(x: Tensor, form: str) -> tuple[Tensor, Tensor]:
    """x Φ(x) and its slope Φ(x) + x Φ'(x), from one exponential.

    tanh     Φ(x) = (1 + tanh u) / 2 = σ(2u), so that Φ' = 2 Φ (1 − Φ) u'
    exact    Φ' = exp(−x²/2) / √(2π), and for x < 0  Φ(x) = exp(−x²/2) · p(t),  t = 1 / (1 + 0.3275911 |x|/√2),
             p the polynomial of Abramowitz & Stegun 1964, 7.1.26, which is off by 7.5e-8 at most (here it is halved);
             torch's vectorized erf is made from it too
    """
    if form == "tanh":
        u = math.sqrt(2.0 / math.pi) * x * (1.0 + 0.044715 * x * x)
        phi = torch.sigmoid(2.0 * u)
        density = 2.0 * phi * (1.0 - phi) * (math.sqrt(2.0 / math.pi) * (1.0 + 3.0 * 0.044715 * x * x))
    else:
        bell = torch.exp(-0.5 * x * x)
        t = 1.0 / (1.0 + 0.3275911 / math.sqrt(2.0) * x.abs())
        p = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
        below = 0.5 * bell * p  # Φ(−|x|)
        phi, density = torch.where(x > 0, 1.0 - below, below), bell / math.sqrt(2.0 * math.pi)
    return x * phi, phi + x * density


class GeluWithSlope(torch.autograd.Function):
    """GELU that keeps its slope, in the number format of x, for the backward pass: ∂x = slope ∂y."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, form: str) -> Tensor:
        """Computed in float32, as torch's kernel does."""
        value, slope = gelu_and_slope(x.float(), form)
        ctx.save_for_backward(slope.to(x.dtype))
        return value.to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, None]:
        """One product."""
        (slope,) = ctx.saved_tensors
        return dy * slope, None


def gelu_kernel(x: Tensor, form: str) -> Tensor:
    """Torch's kernel, or what is faster (components/kernel_rules.py)."""
    if own_gelu_is_faster(x):
        return GeluWithSlope.apply(x, form)
    return F.gelu(x, approximate="none" if form == "exact" else "tanh")  # torch's words for the two forms


def relu_squared_in_two_kernels(x: Tensor) -> Tensor:
    """The same; a function with a name, so that a model can be pickled."""
    return F.relu(x).square()


def is_clamped(config: ModelConfig) -> bool:
    """Whether gate and up are kept within limits; the gate then bends otherwise."""
    return config.mlp == "swiglu" and config.swiglu_clamp is not None


def formula(config: ModelConfig) -> Activation:
    """The activation of a config's MLP from its formula, for the implementations `einops` and `torch`."""
    if is_clamped(config):
        return sharp_silu
    name = ACTIVATION_OF_GATE.get(config.mlp, config.mlp)
    formulas: dict[str, Activation] = {
        "relu": relu,
        "relu2": relu_squared,
        "silu": silu,
        "gelu": partial(gelu, form=config.gelu_form),
    }
    return formulas[name]


def kernel(config: ModelConfig) -> Activation:
    """The same as one kernel, or two."""
    if is_clamped(config):
        return sharp_silu
    name = ACTIVATION_OF_GATE.get(config.mlp, config.mlp)
    kernels: dict[str, Activation] = {
        "relu": F.relu,
        "relu2": relu_squared_in_two_kernels,
        "silu": F.silu,
        "gelu": partial(gelu_kernel, form=config.gelu_form),
    }
    return kernels[name]
