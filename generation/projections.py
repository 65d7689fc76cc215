"""Matrix times one row: where a step of writing spends its time, in the forms that the decode plan chooses among."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

# Small matrices gain from a copy of Wᵀ beside W (x @ Wᵀ against W @ x), large ones wait for the memory either way.
COPY_UP_TO = 256 * 1024  # elements
# The kernel for 8-bit weights reads so many numbers at once, and past the end of rows that are no multiple of it:
# wrong results, and crashes (seen with rows of 8 and of 9,000; right for 16, 32, 96, 9,008 and others).
INT8_WIDTH = 16

Row = Float[Tensor, "1 d_some"]


class Projection:
    """y = x Wᵀ + b for one row x, into a buffer of its own."""

    def __init__(self, weights: list[Tensor], biases: list[Tensor | None]) -> None:
        joined = len(weights) > 1
        weight = torch.cat([w.detach() for w in weights]) if joined else weights[0].detach()
        known = [b.detach() for b in biases if b is not None]
        self.bias = torch.cat(known)[None] if known else None  # [1 d_out]
        self.out = weight.new_empty(1, weight.shape[0])
        self.transposed = weight.T.contiguous() if weight.numel() <= COPY_UP_TO else None
        self.weight = weight

    def __call__(self, x: Row) -> Row:
        """x Wᵀ + b."""
        if self.transposed is not None:
            if self.bias is None:
                return torch.mm(x, self.transposed, out=self.out)
            return torch.addmm(self.bias, x, self.transposed, out=self.out)
        torch.mv(self.weight, x[0], out=self.out[0])
        return self.out if self.bias is None else self.out.add_(self.bias)

    def add_to(self, stream: Row, x: Row) -> None:
        """stream += x Wᵀ + b."""
        if self.transposed is not None:
            stream.addmm_(x, self.transposed)
        else:
            stream[0].addmv_(self.weight, x[0])
        if self.bias is not None:
            stream.add_(self.bias)


class Int8Projection(Projection):
    """The same with 8-bit weights: each row of W as whole numbers −127 … 127 times one scale, x in bfloat16.

    A quarter of the memory to read, for matrices that a step waits for; costs precision, see docs/generation.md.
    """

    def __init__(self, weights: list[Tensor], biases: list[Tensor | None]) -> None:
        super().__init__(weights, biases)
        scales = self.weight.abs().amax(dim=1).clamp(min=1e-12) / 127
        self.scales = scales.to(torch.bfloat16)  # as the kernel wants them; rounded first, so that no error is added
        self.whole = (self.weight / self.scales.float()[:, None]).round().clamp(-127, 127).to(torch.int8)
        del self.weight  # of joined matrices it is a copy, four times as large as what is read

    def __call__(self, x: Row) -> Row:
        self.out.copy_(torch._weight_int8pack_mm(x.to(torch.bfloat16), self.whole, self.scales))
        return self.out if self.bias is None else self.out.add_(self.bias)

    def add_to(self, stream: Row, x: Row) -> None:
        stream.add_(self(x))


class Projections:
    """Makes the projections of a plan, in 8 bits where that is asked for and pays."""

    def __init__(self, weights: str) -> None:
        self.is_int8 = weights == "int8"
        self.made: list[Projection] = []

    def __call__(self, *linears: nn.Linear) -> Projection:
        return self.of([linear.weight for linear in linears], [linear.bias for linear in linears])

    def of(self, weights: list[Tensor], biases: list[Tensor | None]) -> Projection:
        """The projection of some matrices, one under the other."""
        self.made.append((Int8Projection if self._rounds(weights) else Projection)(weights, biases))
        return self.made[-1]

    def joins(self, *linears: nn.Linear) -> bool:
        """Whether matrices that read the same row are better one projection: small enough to copy, or rounded."""
        weights = [linear.weight for linear in linears]
        return not _is_large(weights) or self._rounds(weights)

    def _rounds(self, weights: list[Tensor]) -> bool:
        return self.is_int8 and _is_large(weights) and weights[0].shape[1] % INT8_WIDTH == 0


def _is_large(weights: list[Tensor]) -> bool:
    return sum(weight.numel() for weight in weights) > COPY_UP_TO
