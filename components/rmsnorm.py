"""RMSNorm: scales every token's vector to root mean square 1, then by a learned factor per dimension.

    y = x / √(mean(x²) + ε) · γ        mean over d_model, one for each token

Paper: Zhang & Sennrich 2019, arXiv:1910.07467, section 4, equation 4. Used by LLaMA (arXiv:2302.13971, section 2.2).
Shapes: [batch pos d_model] -> [batch pos d_model]; γ = weight [d_model], or none (norm_gain); there is no offset. In
query and key norms the width is d_head, or that of all heads, in the place of d_model.

Compared with LayerNorm the mean is not subtracted: the paper found that the scaling, not the centering, is what helps.
What departs from the paper: ε under the square root, which the paper omits and every implementation has.
"""

from typing import Any

import torch
import torch.nn.functional as F
from einops import reduce
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from components.kernel_rules import own_rms_norm_is_faster
from components.norm import Norm
from config.model_config import ModelConfig


class RMSNorm(Norm):
    """Holds γ (components/norm.py); the implementations differ only in how they compute."""

    def __init__(self, config: ModelConfig, width: int | None = None) -> None:
        super().__init__(config, width)


class RMSNormEinops(RMSNorm):
    """Says which axis is averaged."""

    def forward(self, x: Float[Tensor, "*rest width"]) -> Float[Tensor, "*rest width"]:
        mean_square = reduce(x**2, "... width -> ... 1", "mean")
        scale = self.hook_scale((mean_square + self.eps).sqrt())
        return self.learned(self.hook_normalized(x / scale))


class RMSNormTorch(RMSNorm):
    """The same in tensor methods."""

    def forward(self, x: Float[Tensor, "*rest width"]) -> Float[Tensor, "*rest width"]:
        return self.learned(x * torch.rsqrt(x.square().mean(dim=-1, keepdim=True) + self.eps))


class RMSNormFused(RMSNorm):
    """torch's kernel, or where that is slower (components/kernel_rules.py) both passes written out."""

    def forward(self, x: Float[Tensor, "*rest width"]) -> Float[Tensor, "*rest width"]:
        gain = self.gain
        x = x if gain is None else x.to(gain.dtype)  # what a part adds is bfloat16 under autocast: too coarse to square
        if gain is not None and own_rms_norm_is_faster(x, gain):
            return ScaleToUnit.apply(x, gain, self.eps)
        return F.rms_norm(x, self.shape, gain, self.eps)


class ScaleToUnit(torch.autograd.Function):
    """y = x r γ with r = 1 / √(mean(x²) + ε), and its derivative, which keeps x and r alone:

    ∂x = r γ ∂y − x r³ mean(x γ ∂y)          ∂γ = Σ over tokens of  x r ∂y
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        """One vector for each token: [… d_model]."""
        r = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        r = r.square_().div_(x.shape[-1]).add_(eps).rsqrt_()
        ctx.save_for_backward(x, r, weight)
        return (x * r).mul_(weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, Tensor, None]:
        """The two sums are matrix products with one row or column: the fastest sums there are."""
        x, r, weight = ctx.saved_tensors
        d_model = weight.shape[0]
        x_dy = (x * dy).reshape(-1, d_model)
        dweight = (r.reshape(1, -1) @ x_dy).view(-1)
        mean = (x_dy @ weight[:, None]).view(r.shape).div_(d_model)
        dx = (dy * weight).mul_(r).addcmul_(x, mean.mul_(r.pow(3)), value=-1)
        return dx, dweight, None


VARIANTS = {"einops": RMSNormEinops, "torch": RMSNormTorch, "fused": RMSNormFused}
