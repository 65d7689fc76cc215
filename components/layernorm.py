"""LayerNorm: gives every token's vector mean 0 and variance 1, then a learned scale and offset.

    y = (x − μ) / √(σ² + ε) · γ + β        μ, σ² over d_model, one pair for each token

Paper: Ba, Kiros & Hinton 2016, arXiv:1607.06450, section 3, equation 4 (there over the units of a layer).
Shapes: [batch pos d_model] -> [batch pos d_model]; γ = weight [d_model], β = bias [d_model], or none (norm_bias).

What departs from the paper, as everywhere in practice: ε stands inside the square root, so that a constant vector
gives β and never divides by zero. σ² is the biased variance (divided by d_model, not by d_model − 1).
"""

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from einops import reduce
from jaxtyping import Float
from torch import Tensor, nn

from components.activation_point import activation_points
from config.model_config import ModelConfig


class LayerNorm(nn.Module, ABC):
    """Holds γ and β; the implementations differ only in how they compute."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.eps = config.norm_eps
        self.weight = nn.Parameter(torch.ones(config.d_model))
        self.bias = nn.Parameter(torch.zeros(config.d_model)) if config.norm_bias else None
        self.hook_scale, self.hook_normalized = activation_points(2)

    @abstractmethod
    def forward(self, x: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_model"]:
        """Normalize each token's vector on its own."""


class LayerNormEinops(LayerNorm):
    """Says which axis is averaged."""

    def forward(self, x: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_model"]:
        mean = reduce(x, "batch pos d_model -> batch pos 1", "mean")
        variance = reduce((x - mean) ** 2, "batch pos d_model -> batch pos 1", "mean")
        scale = self.hook_scale((variance + self.eps).sqrt())
        y = self.hook_normalized((x - mean) / scale) * self.weight
        return y if self.bias is None else y + self.bias


class LayerNormTorch(LayerNorm):
    """The same in tensor methods."""

    def forward(self, x: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_model"]:
        centered = x - x.mean(dim=-1, keepdim=True)
        variance = x.var(dim=-1, keepdim=True, correction=0)  # correction=0: divide by d_model
        y = centered * torch.rsqrt(variance + self.eps) * self.weight
        return y if self.bias is None else y + self.bias


class LayerNormFused(LayerNorm):
    """One kernel, one pass over the memory."""

    def forward(self, x: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_model"]:
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)


VARIANTS = {"einops": LayerNormEinops, "torch": LayerNormTorch, "fused": LayerNormFused}
