"""Number formats: what is computed in 16 bits, and how float16 is kept from losing small gradients.

In an `autocast` region matrix products run in the chosen format; weights, norms, sums and the loss stay in float32.
bfloat16 has float32's range and needs nothing more. float16 has a smallest positive number of 6e-8: most gradients of
a language model would round to 0. So the loss is multiplied by a large *scale* before the backward pass and the
gradients are divided by it afterwards. The largest scale that works is found by trying:

    gradients overflowed (inf or nan)    skip this update, halve the scale
    2,000 updates without an overflow    double it

Source: Micikevicius et al. 2017, arXiv:1710.03740, sections 3.2 and 5; the constants are those of torch.amp.GradScaler,
with which a test compares every step. Own code, because there the decision costs a wait for the device of its own, and
here the norm of the gradients, which the host asks for anyway, is finite exactly when all of them are.
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch

FIRST_SCALE, GROWTH, BACKOFF, GROWTH_INTERVAL = 65536.0, 2.0, 0.5, 2_000
SKIPS_ALLOWED = 50  # in a row: the scale is then 2^-34, and the gradients themselves are broken


@dataclass
class LossScale:
    """The scale and what it depends on: plain numbers, saved in every checkpoint."""

    scale: float = FIRST_SCALE
    good_steps: int = 0  # since the scale last changed
    skipped_steps: int = 0  # updates left out, of the whole run
    skipped_in_a_row: int = 0

    def note(self, overflowed: bool) -> None:
        """Learn from the gradients of one step."""
        if overflowed:
            self.scale *= BACKOFF
            self.good_steps = 0
            self.skipped_steps += 1
            self.skipped_in_a_row += 1
            return
        self.skipped_in_a_row = 0
        self.good_steps += 1
        if self.good_steps == GROWTH_INTERVAL:
            self.scale *= GROWTH
            self.good_steps = 0


def autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[object]:
    """Matrix products in `dtype` inside this context; weights, norms and sums stay in float32."""
    if dtype == torch.float32:
        return nullcontext()
    return torch.autocast(device.type, dtype=dtype)


def allow_tensor_cores(device: torch.device) -> None:
    """On a GPU, multiply float32 matrices with 10 instead of 23 bits behind the point (TF32): several times as fast.

    Sums stay in float32. What bfloat16 does to a training it does less, and that is nothing one can see in a curve.
    """
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")
