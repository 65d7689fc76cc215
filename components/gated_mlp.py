"""Gated MLP: two widenings of every token; one, through an activation, decides how much of the other passes.

    y = W_down · (f(W_gate x) ⊙ W_up x)          swiglu: f = SiLU     geglu: f = GELU     reglu: f = ReLU

Paper: Shazeer 2020, arXiv:2002.05202, section 2, equations 5-6. SwiGLU is used by LLaMA (arXiv:2302.13971, section
2.2), GEGLU by Gemma (arXiv:2403.08295, table 1). The activations stand in components/activation.py.
Shapes: [batch pos d_model] -> gate_proj and up_proj [batch pos d_mlp] each -> down_proj [batch pos d_model].

Which one is the gate matters: where the gate is very negative the output is 0, whatever `up` says, and not the other
way round. Three matrices instead of two: for the same number of parameters as an MLP without gate, take 2/3 of its
d_mlp. What departs from the paper: biases are optional (the paper has none).

With swiglu_clamp = c, as in gpt-oss (OpenAI 2025, arXiv:2508.10925; the form from its published code):

    y = W_down · (f(min(g, c)) ⊙ (clip(u, −c, c) + 1))       g = W_gate x    u = W_up x    f(g) = g · sigmoid(1.702 g)
"""

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor, nn

from components.activation import formula, is_clamped, kernel
from components.activation_point import activation_points
from components.linear import einsum_linear
from config.model_config import ModelConfig

Hidden = Float[Tensor, "batch pos d_mlp"]


class GatedMLP(nn.Module, ABC):
    """Holds the three projections, and the activation of the gate, from its formula and as a kernel."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.formula, self.kernel = formula(config), kernel(config)
        self.limit = config.swiglu_clamp if is_clamped(config) else None
        self.gate_proj = nn.Linear(config.d_model, config.d_mlp, bias=config.mlp_bias)
        self.up_proj = nn.Linear(config.d_model, config.d_mlp, bias=config.mlp_bias)
        self.down_proj = nn.Linear(config.d_mlp, config.d_model, bias=config.mlp_bias)
        self.hook_pre, self.hook_pre_linear, self.hook_post = activation_points(3)

    def bounded(self, gate: Hidden, up: Hidden) -> tuple[Hidden, Hidden]:
        """Gate and up within the limit, and up one higher; as they are where there is no limit."""
        if self.limit is None:
            return gate, up
        return gate.clamp(max=self.limit), up.clamp(-self.limit, self.limit) + 1.0

    @abstractmethod
    def forward(self, x: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_model"]:
        """Transform each token's vector on its own."""


class GatedMLPEinops(GatedMLP):
    """The three matrix products with named axes, the activation from its formula."""

    def forward(self, x: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_model"]:
        gate = self.hook_pre(einsum_linear(self.gate_proj, x))  # [batch pos d_mlp]
        up = self.hook_pre_linear(einsum_linear(self.up_proj, x))
        gate, up = self.bounded(gate, up)
        hidden = self.hook_post(self.formula(gate) * up)
        return einsum_linear(self.down_proj, hidden)


class GatedMLPTorch(GatedMLP):
    """The modules called, the activation from its formula."""

    def forward(self, x: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_model"]:
        gate, up = self.bounded(self.gate_proj(x), self.up_proj(x))  # [batch pos d_mlp] each
        return self.down_proj(self.formula(gate) * up)


class GatedMLPFused(GatedMLP):
    """The activation as one kernel."""

    def forward(self, x: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_model"]:
        gate, up = self.bounded(self.gate_proj(x), self.up_proj(x))
        return self.down_proj(self.kernel(gate) * up)


VARIANTS = {"einops": GatedMLPEinops, "torch": GatedMLPTorch, "fused": GatedMLPFused}
