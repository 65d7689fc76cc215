"""MLP: every token on its own is widened, bent, and narrowed again.

    y = W_down · f(W_up x + b_up) + b_down          f: gelu, relu, relu2 or silu (components/activation.py)

Papers: the MLP in the block, with ReLU: Vaswani et al. 2017, arXiv:1706.03762, section 3.3; with GELU in GPT (Radford
et al. 2018) and GPT-2; with ReLU squared in Primer (arXiv:2109.08668).
Shapes: [batch pos d_model] -> up_proj [batch pos d_mlp] -> down_proj [batch pos d_model].

The four names of the slot share this file and their parameters; a checkpoint of one opens in another, and computes
something else. What departs from the papers: biases are optional.
"""

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor, nn

from components.activation import formula, kernel
from components.activation_point import activation_points
from components.linear import einsum_linear
from config.model_config import ModelConfig


class MLP(nn.Module, ABC):
    """Holds the two projections, and the activation that the config names, from its formula and as a kernel."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.formula, self.kernel = formula(config), kernel(config)
        self.up_proj = nn.Linear(config.d_model, config.d_mlp, bias=config.mlp_bias)
        self.down_proj = nn.Linear(config.d_mlp, config.d_model, bias=config.mlp_bias)
        self.hook_pre, self.hook_post = activation_points(2)

    @abstractmethod
    def forward(self, x: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_model"]:
        """Transform each token's vector on its own."""


class MLPEinops(MLP):
    """Both matrix products with named axes, the activation from its formula."""

    def forward(self, x: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_model"]:
        wide = self.hook_pre(einsum_linear(self.up_proj, x))  # [batch pos d_mlp]
        hidden = self.hook_post(self.formula(wide))
        return einsum_linear(self.down_proj, hidden)


class MLPTorch(MLP):
    """The modules called, the activation from its formula."""

    def forward(self, x: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_model"]:
        hidden = self.formula(self.up_proj(x))  # [batch pos d_mlp]
        return self.down_proj(hidden)


class MLPFused(MLP):
    """The activation as one kernel."""

    def forward(self, x: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_model"]:
        return self.down_proj(self.kernel(self.up_proj(x)))


VARIANTS = {"einops": MLPEinops, "torch": MLPTorch, "fused": MLPFused}
