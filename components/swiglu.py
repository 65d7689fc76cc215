"""SwiGLU MLP: two widenings of every token; one, through SiLU, decides how much of the other passes.

    y = W_down · (SiLU(W_gate x) ⊙ W_up x)             SiLU(x) = x · sigmoid(x), also called Swish

Paper: Shazeer 2020, arXiv:2002.05202, section 2, equations 5-6. Used by LLaMA (arXiv:2302.13971, section 2.2).
Shapes: [batch pos d_model] -> gate_proj and up_proj [batch pos d_mlp] each -> down_proj [batch pos d_model].

Which one is the gate matters: where the gate is very negative the output is 0, whatever `up` says, and not the other
way round. Three matrices instead of two: for the same number of parameters as a GELU MLP, take 2/3 of its d_mlp.
What departs from the paper: biases are optional (the paper has none).
"""

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from components.activation_point import activation_points
from components.linear import einsum_linear
from config.model_config import ModelConfig


class SwigluMLP(nn.Module, ABC):
    """Holds the three projections."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.d_model, config.d_mlp, bias=config.mlp_bias)
        self.up_proj = nn.Linear(config.d_model, config.d_mlp, bias=config.mlp_bias)
        self.down_proj = nn.Linear(config.d_mlp, config.d_model, bias=config.mlp_bias)
        self.hook_pre, self.hook_pre_linear, self.hook_post = activation_points(3)

    @abstractmethod
    def forward(self, x: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_model"]:
        """Transform each token's vector on its own."""


class SwigluMLPEinops(SwigluMLP):
    """The three matrix products with named axes, SiLU from its formula."""

    def forward(self, x: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_model"]:
        gate = self.hook_pre(einsum_linear(self.gate_proj, x))  # [batch pos d_mlp]
        up = self.hook_pre_linear(einsum_linear(self.up_proj, x))
        hidden = self.hook_post(gate * torch.sigmoid(gate) * up)
        return einsum_linear(self.down_proj, hidden)


class SwigluMLPTorch(SwigluMLP):
    """The modules called, SiLU from its formula."""

    def forward(self, x: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_model"]:
        gate = self.gate_proj(x)  # [batch pos d_mlp]
        hidden = gate * gate.sigmoid() * self.up_proj(x)  # not 1/(1 + exp(−gate)): its gradient overflows at −89
        return self.down_proj(hidden)


class SwigluMLPFused(SwigluMLP):
    """SiLU as one kernel."""

    def forward(self, x: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_model"]:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


VARIANTS = {"einops": SwigluMLPEinops, "torch": SwigluMLPTorch, "fused": SwigluMLPFused}
