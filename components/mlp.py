"""GELU MLP: every token on its own is widened, bent, and narrowed again.

    y = W_down · GELU(W_up x + b_up) + b_down          GELU(x) = x · Φ(x), Φ the normal distribution function

    exact   x/2 · (1 + erf(x / √2))
    tanh    x/2 · (1 + tanh(√(2/π) · (x + 0.044715 x³)))

Papers: Hendrycks & Gimpel 2016, arXiv:1606.08415, section 2, both forms. The MLP in the block: Vaswani et al. 2017,
arXiv:1706.03762, section 3.3 (with ReLU); with GELU in GPT (Radford et al. 2018) and GPT-2.
Shapes: [batch pos d_model] -> up_proj [batch pos d_mlp] -> down_proj [batch pos d_model].

GPT-2 was trained with the tanh form (gelu_form = "tanh"). The two differ by at most 4.73e-4, at |x| = 2.70: nothing for
training, but a released model must be run in its own form. GELU(1) = 0.841345 exactly, 0.841192 by tanh.
"""

import math
from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from components.activation_point import activation_points
from components.linear import einsum_linear
from config.model_config import ModelConfig


class GeluMLP(nn.Module, ABC):
    """Holds the two projections."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.gelu_form = config.gelu_form
        self.up_proj = nn.Linear(config.d_model, config.d_mlp, bias=config.mlp_bias)
        self.down_proj = nn.Linear(config.d_mlp, config.d_model, bias=config.mlp_bias)
        self.hook_pre, self.hook_post = activation_points(2)

    @abstractmethod
    def forward(self, x: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_model"]:
        """Transform each token's vector on its own."""


def gelu(x: Float[Tensor, "batch pos d_mlp"], form: str) -> Float[Tensor, "batch pos d_mlp"]:
    """The formulas above, as they stand."""
    if form == "exact":
        return 0.5 * x * (1.0 + torch.erf(x / math.sqrt(2.0)))
    return 0.5 * x * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))


class GeluMLPEinops(GeluMLP):
    """Both matrix products with named axes, the activation from its formula."""

    def forward(self, x: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_model"]:
        wide = self.hook_pre(einsum_linear(self.up_proj, x))  # [batch pos d_mlp]
        hidden = self.hook_post(gelu(wide, self.gelu_form))
        return einsum_linear(self.down_proj, hidden)


class GeluMLPTorch(GeluMLP):
    """The modules called, the activation from its formula."""

    def forward(self, x: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_model"]:
        hidden = gelu(self.up_proj(x), self.gelu_form)  # [batch pos d_mlp]
        return self.down_proj(hidden)


class GeluMLPFused(GeluMLP):
    """The activation as one kernel."""

    def forward(self, x: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_model"]:
        approximate = "none" if self.gelu_form == "exact" else "tanh"  # torch's words for the two forms
        return self.down_proj(F.gelu(self.up_proj(x), approximate=approximate))


VARIANTS = {"einops": GeluMLPEinops, "torch": GeluMLPTorch, "fused": GeluMLPFused}
