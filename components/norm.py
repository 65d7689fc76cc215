"""What LayerNorm and RMSNorm share: what they learn, and over how many dimensions they normalize.

    y = normalized x · gain + bias          gain = γ, or 1 + w (norm_unit_offset), or none (norm_gain off)

Shapes: gain and bias [width]: d_model for the norms on the residual stream, d_head or all heads for those on queries
and keys. A norm without gain and bias has no parameters, as OLMo's (arXiv:2402.00838, section 2.1).

With γ = 1 + w, as in Gemma, what is learned is how far the gain is from 1: it begins at 0, and weight decay, where it
acts on norms, pulls the gain towards 1.
"""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn

from components.activation_point import activation_points
from config.model_config import ModelConfig


class Norm(nn.Module, ABC):
    """Holds gain and bias."""

    def __init__(self, config: ModelConfig, width: int | None = None, has_bias: bool = False) -> None:
        super().__init__()
        self.eps = config.norm_eps
        self.shape = (config.d_model if width is None else width,)
        self.has_unit_offset = config.norm_unit_offset
        first = torch.zeros(self.shape) if self.has_unit_offset else torch.ones(self.shape)
        self.weight = nn.Parameter(first) if config.norm_gain else None
        self.bias = nn.Parameter(torch.zeros(self.shape)) if has_bias else None
        self.hook_scale, self.hook_normalized = activation_points(2)

    @property
    def gain(self) -> Float[Tensor, "width"] | None:
        """What the normalized vector is multiplied by, if anything."""
        return 1.0 + self.weight if self.weight is not None and self.has_unit_offset else self.weight

    def learned(self, y: Float[Tensor, "*rest width"]) -> Float[Tensor, "*rest width"]:
        """Gain and bias, where there are any, on a normalized vector."""
        y = y if self.gain is None else y * self.gain
        return y if self.bias is None else y + self.bias

    @abstractmethod
    def forward(self, x: Float[Tensor, "*rest width"]) -> Float[Tensor, "*rest width"]:
        """Normalize each vector on its own."""
