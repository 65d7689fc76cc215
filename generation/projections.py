"""Matrix times one row: where a step of writing spends its time, in the forms that the decode plan chooses among."""

import math
from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

WEIGHTS = ("float32", "float16", "int8")
"""How the large matrices are kept; the small ones stay as they are, and no step waits for them."""
# Small matrices gain from a copy of Wᵀ beside W (x @ Wᵀ against W @ x), and those that widen the row up to a larger
# size; the others wait for the memory either way, or would need too much of it. In elements.
COPY_UP_TO, COPY_WIDENING_UP_TO = 256 * 1024, 1024 * 1024
# The kernel for 8-bit weights reads so many numbers at once, and past the end of rows that are no multiple of it:
# wrong results, and crashes (seen with rows of 8 and of 9,000; right for 16, 32, 96, 9,008 and others).
INT8_WIDTH = 16

Row = Float[Tensor, "1 d_some"]


class Projection(ABC):
    """y = x Wᵀ + b for one row x, into a buffer of its own."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self.bias = None if bias is None else bias[None]  # [1 d_out]
        self.out = weight.new_empty(1, weight.shape[0])

    @abstractmethod
    def __call__(self, x: Row) -> Row:
        """x Wᵀ + b."""

    @abstractmethod
    def add_to(self, stream: Row, x: Row) -> None:
        """stream += x Wᵀ + b."""


class ExactProjection(Projection):
    """In float32, with the weights of the model or a transposed copy of them."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__(weight, bias)
        d_out, d_in = weight.shape
        copies = weight.numel() <= (COPY_WIDENING_UP_TO if d_out > d_in else COPY_UP_TO)
        self.transposed = weight.T.contiguous() if copies else None
        self.weight = weight

    def __call__(self, x: Row) -> Row:
        if self.transposed is not None:
            if self.bias is None:
                return torch.mm(x, self.transposed, out=self.out)
            return torch.addmm(self.bias, x, self.transposed, out=self.out)
        torch.mv(self.weight, x[0], out=self.out[0])
        return self.out if self.bias is None else self.out.add_(self.bias)

    def add_to(self, stream: Row, x: Row) -> None:
        if self.transposed is not None:
            stream.addmm_(x, self.transposed)
        else:
            stream[0].addmv_(self.weight, x[0])
        if self.bias is not None:
            stream.add_(self.bias)


class RoundedProjection(Projection):
    """With fewer bits to a weight: less memory to read, for matrices that a step waits for, at some loss of precision.

    What is lost, and what is gained: docs/generation.md.
    """

    @abstractmethod
    def product(self, x: Row) -> Float[Tensor, "1 d_out"]:
        """x Wᵀ, in the number format of the kernel."""

    def __call__(self, x: Row) -> Row:
        self.out.copy_(self.product(x))
        return self.out if self.bias is None else self.out.add_(self.bias)

    def add_to(self, stream: Row, x: Row) -> None:
        stream.add_(self(x))


class Float16Projection(RoundedProjection):
    """Weights and x in float16, 11 bits instead of 24, their products summed in float32: half the memory to read.

    What is beyond 65,504 is infinite in float16. From the first row for which that happens, in x or in the result, the
    same weights are multiplied in float32: a text of a model with such activations is right, only not faster.
    """

    LARGEST = torch.finfo(torch.float16).max

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__(weight, bias)
        self.rounded = weight.to(torch.float16)

    def product(self, x: Row) -> Row:
        y = F.linear(x.to(self.rounded.dtype), self.rounded)
        # One infinity in x makes all of y infinite or NaN, and one in y its sum: the cheapest way to see either.
        if y.dtype == torch.float16 and not math.isfinite(y.sum(dtype=torch.float32)):
            self.rounded = self.rounded.float()
            y = F.linear(x, self.rounded)
        return y


class Int8Projection(RoundedProjection):
    """Each row of W as whole numbers −127 … 127 times one scale, x in bfloat16: a quarter of the memory to read."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__(weight, bias)
        scales = weight.abs().amax(dim=1).clamp(min=1e-12) / 127
        self.scales = scales.to(torch.bfloat16)  # as the kernel wants them; rounded first, so that no error is added
        self.whole = (weight / self.scales.float()[:, None]).round().clamp(-127, 127).to(torch.int8)

    def product(self, x: Row) -> Row:
        return torch._weight_int8pack_mm(x.to(torch.bfloat16), self.whole, self.scales)


class Projections:
    """Makes the projections of a plan, rounded where that is asked for and pays.

    Args:
        weights: one of WEIGHTS.
        exact: how large matrices that stay exact are multiplied.
    """

    def __init__(self, weights: str, exact: type[Projection] = ExactProjection) -> None:
        self.weights, self.exact = weights, exact
        self.made: list[Projection] = []

    def __call__(self, *linears: nn.Linear) -> Projection:
        return self.of([linear.weight for linear in linears], [linear.bias for linear in linears])

    def of(self, weights: list[Tensor], biases: list[Tensor | None]) -> Projection:
        """The projection of some matrices, one under the other."""
        kind = self._kind(weights)
        weight = torch.cat([w.detach() for w in weights]) if len(weights) > 1 else weights[0].detach()
        known = [b.detach() for b in biases if b is not None]
        self.made.append(kind(weight, torch.cat(known) if known else None))
        return self.made[-1]

    def joins(self, *linears: nn.Linear) -> bool:
        """Whether matrices that read the same row are better one projection: small enough to copy, or rounded."""
        weights = [linear.weight for linear in linears]
        return not _is_large(weights) or issubclass(self._kind(weights), RoundedProjection)

    def has(self, kind: type) -> bool:
        """Whether any matrix is multiplied in such a way; none is rounded or compiled unless it is large and fits."""
        return any(isinstance(projection, kind) for projection in self.made)

    def _kind(self, weights: list[Tensor]) -> type[Projection]:
        if not _is_large(weights):
            return ExactProjection
        if self.weights == "int8" and weights[0].shape[1] % INT8_WIDTH == 0:
            return Int8Projection
        if self.weights == "float16" and all(float(w.abs().max()) <= Float16Projection.LARGEST for w in weights):
            return Float16Projection
        return self.exact


def _is_large(weights: list[Tensor]) -> bool:
    return sum(weight.numel() for weight in weights) > COPY_UP_TO
