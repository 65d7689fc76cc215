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
"""

import math
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

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
    form = "none" if config.gelu_form == "exact" else "tanh"  # torch's words for the two forms of GELU
    kernels: dict[str, Activation] = {
        "relu": F.relu,
        "relu2": relu_squared_in_two_kernels,
        "silu": F.silu,
        "gelu": partial(F.gelu, approximate=form),
    }
    return kernels[name]
