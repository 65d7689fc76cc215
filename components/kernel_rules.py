"""Which kernel a `fused` component takes, by measurement: the one place for these decisions, with the numbers.

Measured with torch 2.13 on a processor that multiplies bfloat16 (avx512_bf16), by `python -m benchmarks.kernels`:
forward and backward together, milliseconds of one thread. "tiny" is d_model 128, context 64; "small" d_model 384,
context 256; batch 12.

| what | | float32: tiny | small | bfloat16: tiny | small |
|---|---|---|---|---|---|
| LayerNorm | F.layer_norm | 0.13 | 1.1 | | |
| RMSNorm | F.rms_norm | 0.31 | 4.8 | | |
| | own backward (rmsnorm.py) | 0.23 | 2.2 | | |
| GELU, tanh form | F.gelu | 1.5 | 17.1 | 1.6 | 18.7 |
| | written out from the sigmoid | 2.1 | 26.5 | 1.4 | 17.0 |
| | compiled: F.gelu | 0.93 | 10.8 | 1.0 | 11.8 |
| | compiled: with its slope (activation.py) | 0.47 | 5.1 | 0.59 | 5.8 |
| GELU, exact | F.gelu | 0.58 | 7.8 | 0.52 | 6.4 |
| | compiled: F.gelu | 0.62 | 6.9 | 0.78 | 7.9 |
| | compiled: with its slope | 0.47 | 5.0 | 0.64 | 6.0 |
| attention | one kernel | 1.6 | 57 | 7.1 | 63 |
| | written out | 1.5 | 59 | 1.1 | 28 |

So in bfloat16 attention is written out: the kernel's backward pass is slow there. A compiled step in float32 was faster
with it too, for short contexts (1.24 to 1.17 times a plain loop; measured before the rule, which no command undoes).
The tanh form of GELU stays torch's: it costs twice the exact one and more, but a model may not change its form. In
compiled code both forms are written out with their slope.
"""

import torch
from torch import Tensor

SHORT_CONTEXT = 128  # up to here the scores of a head stay in the nearest cache


def written_out_attention_is_faster(query: Tensor) -> bool:
    """Whether to compute attention on queries `[batch head query d_head]` in three steps instead of in one kernel."""
    if query.device.type != "cpu" or not query.requires_grad:
        return False
    short_and_compiled = torch.compiler.is_compiling() and query.shape[2] <= SHORT_CONTEXT
    return query.dtype == torch.bfloat16 or short_and_compiled


def own_gelu_is_faster(x: Tensor) -> bool:
    """Whether GELU is written out with its slope: where a compiler makes one loop of it."""
    return x.device.type == "cpu" and x.requires_grad and torch.compiler.is_compiling() and x.dtype != torch.float64


def own_rms_norm_is_faster(x: Tensor, weight: Tensor) -> bool:
    """Whether RMSNorm's own forward and backward beat torch's, which on the CPU is six steps recorded one by one.

    Compiled, the plain formula becomes one loop; on a GPU there is a kernel; mixed formats are left to torch.
    """
    return x.device.type == "cpu" and x.dtype == weight.dtype and not torch.compiler.is_compiling()
