"""Which kernel a `fused` component takes, by measurement: the one place for these decisions, with the numbers.

Measured with torch 2.13. Times are of forward and backward together. "tiny" is 4 layers, d_model 128, context 64, batch
12; "small" is 6 layers, d_model 384, context 256, batch 12; a processor "with bf16" multiplies bfloat16 (avx512_bf16).

| what | one thread, float32 | tiny | small |
|---|---|---|---|
| LayerNorm | F.layer_norm | 0.34 ms | 2.9 ms |
| RMSNorm | F.rms_norm | 1.05 ms | 14.2 ms |
| | own backward (rmsnorm.py) | 0.61 ms | 5.8 ms |
| GELU, tanh form | F.gelu | 3.0 ms | 34 ms |
| | from torch.tanh, own backward | 3.1 ms | 54 ms, so not taken |
| GELU, exact | F.gelu | 1.0 ms | 11.7 ms; a model may not change its form for it |

| attention | in a training step, against nanoGPT's | tiny | small |
|---|---|---|---|
| bfloat16, CPU with bf16 | one kernel | 1.20 x | 1.73 x |
| | written out | 1.57-1.72 x | 2.00 x |
| float32, CPU | one kernel against written out, one thread | 1.00 : 0.93 | 1.00 : 0.77 |
| float32, CPU, compiled, two threads | one kernel | 1.17 x | |
| | written out | 1.24 x | |

In bfloat16 the attention kernel's backward takes 12.7 ms of a 30 ms step, the same work written out 3.5 ms.
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


def own_rms_norm_is_faster(x: Tensor, weight: Tensor) -> bool:
    """Whether RMSNorm's own forward and backward beat torch's, which on the CPU is six steps recorded one by one.

    Compiled, the plain formula becomes one loop; on a GPU there is a kernel; mixed formats are left to torch.
    """
    return x.device.type == "cpu" and x.dtype == weight.dtype and not torch.compiler.is_compiling()
