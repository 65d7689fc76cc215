"""The linear map y = x Wᵀ + b with its axes named, for the einops implementations of the components that hold one.

`nn.Linear` stores W as [d_out d_in]: row o holds the weights of output o. The implementations `torch` and `fused` call
the module; here the same product is written out. What stands in for a Linear and computes more than that (an adapter,
training/lora.py) is called.
"""

import torch
from einops import einsum
from jaxtyping import Float
from torch import Tensor, nn


def einsum_linear(linear: nn.Linear, x: Float[Tensor, "batch pos d_in"]) -> Float[Tensor, "batch pos d_out"]:
    """Every output is the sum over the inputs, each times its weight."""
    if type(linear) is not nn.Linear:
        return linear(x)
    y = einsum(x, linear.weight, "batch pos d_in, d_out d_in -> batch pos d_out")
    return y if linear.bias is None else y + linear.bias


def matrix_of(linear: nn.Linear) -> Float[Tensor, "d_out d_in"]:
    """W, for whoever multiplies by it in another order; of what stands in for a Linear, the images of unit vectors."""
    if type(linear) is nn.Linear:
        return linear.weight
    images = linear(torch.eye(linear.in_features, dtype=linear.weight.dtype, device=linear.weight.device))
    return (images if linear.bias is None else images - linear.bias).T
