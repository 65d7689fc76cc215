"""RMSNorm: scales every token's vector to root mean square 1, then by a learned factor per dimension.

    y = x / √(mean(x²) + ε) · γ        mean over d_model, one for each token

Paper: Zhang & Sennrich 2019, arXiv:1910.07467, section 4, equation 4. Used by LLaMA (arXiv:2302.13971, section 2.2).
Shapes: [batch pos d_model] -> [batch pos d_model]; γ = weight [d_model]; there is no offset.

Compared with LayerNorm the mean is not subtracted: the paper found that the scaling, not the centering, is what helps.
What departs from the paper: ε under the square root, which the paper omits and every implementation has.
"""

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from einops import reduce
from jaxtyping import Float
from torch import Tensor, nn

from config.model_config import ModelConfig


class RMSNorm(nn.Module, ABC):
    """Holds γ; the implementations differ only in how they compute."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.eps = config.norm_eps
        self.weight = nn.Parameter(torch.ones(config.d_model))

    @abstractmethod
    def forward(self, x: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_model"]:
        """Scale each token's vector on its own."""


class RMSNormEinops(RMSNorm):
    """Says which axis is averaged."""

    def forward(self, x: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_model"]:
        mean_square = reduce(x**2, "batch pos d_model -> batch pos 1", "mean")
        return x / (mean_square + self.eps).sqrt() * self.weight


class RMSNormTorch(RMSNorm):
    """The same in tensor methods."""

    def forward(self, x: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_model"]:
        return x * torch.rsqrt(x.square().mean(dim=-1, keepdim=True) + self.eps) * self.weight


class RMSNormFused(RMSNorm):
    """One call: one kernel on a GPU, on the CPU the same steps as above without the names."""

    def forward(self, x: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_model"]:
        return F.rms_norm(x, self.weight.shape, self.weight, self.eps)


VARIANTS = {"einops": RMSNormEinops, "torch": RMSNormTorch, "fused": RMSNormFused}
