"""A model that reads a few tokens at a time: the same weights, once more in the order in which a kernel reads them.

A product of a few rows waits for the weights like that of one row, but torch's kernel for it first packs the matrix
into blocks, on every call: four rows through 6 layers of width 384 took 2.6 times as long as one by the decode plan.
Here oneDNN packs each matrix once.
"""

import copy
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from generation.decode_support import knows_model


class PackedLinear(nn.Module):
    """x Wᵀ + b, for about so many rows x."""

    def __init__(self, linear: nn.Linear, n_rows: int) -> None:
        super().__init__()
        self.packed = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), n_rows)
        self.bias = None if linear.bias is None else linear.bias.detach()

    def forward(self, x: Float[Tensor, "... d_in"]) -> Float[Tensor, "... d_out"]:
        """The product, in float32."""
        product: Tensor = torch.ops.mkldnn._linear_pointwise(x, self.packed, self.bias, "none", [], "")
        return product


def packed(model: nn.Module, n_rows: int) -> nn.Module:
    """The model for steps of about `n_rows` tokens; itself where there is no such kernel, or it is not all plain.

    Its matrices are copies, as large as those of the model; the rest it shares, and the model stays untouched.
    """
    if not torch.backends.mkldnn.is_available() or not knows_model(model):
        return model
    linears = {name: module for name, module in model.named_modules() if type(module) is nn.Linear}
    shared: dict[int, Any] = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    copied = copy.deepcopy(model, shared)
    for name, linear in linears.items():
        parent, _, child = name.rpartition(".")
        setattr(copied.get_submodule(parent), child, PackedLinear(linear, n_rows))
    return copied
