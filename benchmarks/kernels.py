"""The measurements behind components/kernel_rules.py: python -m benchmarks.kernels [--dtype bfloat16].

Forward and backward together, in milliseconds of processor time of one thread, which another program on the machine
disturbs least; the median of many. Shapes: "tiny" is d_model 128, context 64; "small" is d_model 384, context 256; both
have batch 12, heads of width 32 or 64, and an MLP four times as wide.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from components.activation import gelu_kernel
from components.attention_kernels import attend_in_one_kernel, attend_written_out
from components.attention_mask import causal_mask
from components.rmsnorm import ScaleToUnit
from training.loss import keep_what_is_computed
from training.memory import keep_freed_memory

BATCH, HEADS = 12, {"tiny": 4, "small": 6}
SHAPES = {"tiny": (64, 128), "small": (256, 384)}  # context, d_model
Kernel = Callable[..., Tensor]


def kernels(shape: str, dtype: torch.dtype) -> Iterator[tuple[str, Kernel, list[Tensor]]]:
    """Name, function and inputs of everything that is measured."""
    context, d_model = SHAPES[shape]
    if dtype == torch.float32:  # norms compute in float32 whatever the matrix products do
        x, gain = torch.randn(BATCH, context, d_model), torch.ones(d_model)
        yield "LayerNorm   F.layer_norm", lambda x, g: F.layer_norm(x, g.shape, g), [x, gain]
        yield "RMSNorm     F.rms_norm", lambda x, g: F.rms_norm(x, g.shape, g, 1e-5), [x, gain]
        yield "            own backward", lambda x, g: ScaleToUnit.apply(x, g, 1e-5), [x, gain]
    wide = torch.randn(BATCH, context, 4 * d_model, dtype=dtype)
    yield "GELU        tanh form", lambda x: F.gelu(x, approximate="tanh"), [wide]
    yield "            tanh form, from the sigmoid", gelu_from_sigmoid, [wide]
    yield "            exact", F.gelu, [wide]
    torch.compiler.reset()  # it makes only so many versions of what it takes for one function
    for form, word in (("tanh", "tanh"), ("exact", "none")):
        yield f"  compiled: {form} form", torch.compile(partial(F.gelu, approximate=word)), [wide]
        yield f"            {form} form, with its slope", torch.compile(partial(gelu_kernel, form=form)), [wide]
    yield "SiLU", F.silu, [wide]
    heads = HEADS[shape]
    parts = [torch.randn(BATCH, heads, context, d_model // heads, dtype=dtype) for _ in range(3)]
    mask = causal_mask(context, context, torch.device("cpu"))
    scale = (d_model // heads) ** -0.5
    yield "attention   one kernel", lambda q, k, v: attend_in_one_kernel(q, k, v, None, 0.0, scale), parts
    yield "            written out", lambda q, k, v: attend_written_out(q, k, v, mask, 0.0, scale), parts


def gelu_from_sigmoid(x: Tensor) -> Tensor:
    """The tanh form as x σ(2 √(2/π) (x + 0.044715 x³)): what torch's own kernel is compared with."""
    return x * torch.sigmoid(x * torch.addcmul(torch.full((), 1.5957691, dtype=x.dtype), x, x, value=0.0713548))


def milliseconds(kernel: Kernel, inputs: list[Tensor], times: int) -> float:
    """Median of one forward and backward pass."""
    leaves = [tensor.requires_grad_() for tensor in inputs]
    gradient = torch.ones_like(kernel(*leaves))
    found = []
    for _ in range(times):
        started = time.thread_time()
        torch.autograd.grad(kernel(*leaves), leaves, gradient)
        found.append(time.thread_time() - started)
    return 1e3 * statistics.median(found[2:])  # the first ones are slow


def main() -> int:
    """A line for each kernel."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kernels", description="Times of kernels.")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--times", type=int, default=30)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    keep_what_is_computed(torch.device("cpu"))
    print(f"torch {torch.__version__}, milliseconds of one thread" + "".join(f"{shape:>10}" for shape in SHAPES))
    for dtype in arguments.dtype:
        rows: dict[str, list[float]] = {}
        for shape in SHAPES:
            for name, kernel, inputs in kernels(shape, getattr(torch, dtype)):
                rows.setdefault(name, []).append(milliseconds(kernel, inputs, arguments.times))
        for name, found in rows.items():
            print(f"{dtype:10}{name:46}" + "".join(f"{value:10.2f}" for value in found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
