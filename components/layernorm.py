"""LayerNorm: gives every token's vector mean 0 and variance 1, then a learned scale and offset.

    y = (x − μ) / √(σ² + ε) · γ + β        μ, σ² over d_model, one pair for each token

Paper: Ba, Kiros & Hinton 2016, arXiv:1607.06450, section 3, equation 4 (there over the units of a layer).
Shapes: [batch pos d_model] -> [batch pos d_model]; γ = weight [d_model], β = bias [d_model], or none (norm_gain,
norm_bias). In query and key norms the width is d_head, or that of all heads, in the place of d_model.

What departs from the paper, as everywhere in practice: ε stands inside the square root, so that a constant vector
gives β and never divides by zero. σ² is the biased variance (divided by d_model, not by d_model − 1).
"""

import torch
import torch.nn.functional as F
from einops import reduce
from jaxtyping import Float
from torch import Tensor

from components.norm import Norm
from config.model_config import ModelConfig


class LayerNorm(Norm):
    """Holds γ and β (components/norm.py); the implementations differ only in how they compute."""

    def __init__(self, config: ModelConfig, width: int | None = None) -> None:
        super().__init__(config, width, has_bias=config.norm_bias)


class LayerNormEinops(LayerNorm):
    """Says which axis is averaged."""

    def forward(self, x: Float[Tensor, "*rest width"]) -> Float[Tensor, "*rest width"]:
        mean = reduce(x, "... width -> ... 1", "mean")
        variance = reduce((x - mean) ** 2, "... width -> ... 1", "mean")
        scale = self.hook_scale((variance + self.eps).sqrt())
        return self.learned(self.hook_normalized((x - mean) / scale))


class LayerNormTorch(LayerNorm):
    """The same in tensor methods."""

    def forward(self, x: Float[Tensor, "*rest width"]) -> Float[Tensor, "*rest width"]:
        centered = x - x.mean(dim=-1, keepdim=True)
        variance = x.var(dim=-1, keepdim=True, correction=0)  # correction=0: divide by the width, not by width − 1
        return self.learned(centered * torch.rsqrt(variance + self.eps))


class LayerNormFused(LayerNorm):
    """One kernel, one pass over the memory."""

    def forward(self, x: Float[Tensor, "*rest width"]) -> Float[Tensor, "*rest width"]:
        return F.layer_norm(x, self.shape, self.gain, self.bias, self.eps)


VARIANTS = {"einops": LayerNormEinops, "torch": LayerNormTorch, "fused": LayerNormFused}
