"""Where and in which number format to compute."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from config.errors import ConfigError, Problem

# Below this a second thread costs more time in meeting the first than it saves (one token, 4 layers of width 128).
ONE_THREAD_PARAMETERS = 5_000_000


def choose_device(asked: str) -> torch.device:
    """The device meant by `auto`, `cpu`, `cuda` or `mps`.

    Raises:
        ConfigError: if the device asked for is not there.
    """
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if asked == "auto":
        return torch.device(next(name for name, is_there in present.items() if is_there))
    if not present[asked]:
        there = ", ".join(name for name, is_there in present.items() if is_there)
        raise ConfigError([Problem("device", f"device {asked} is not available here: take {there}, or auto")])
    return torch.device(asked)


def choose_dtype(asked: str, device: torch.device) -> torch.dtype:
    """The format of matrix products. `auto` is bfloat16 where the hardware multiplies it faster, else float32."""
    if asked == "auto":
        if device.type == "cuda":
            return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
        # Without these instructions bfloat16 products are emulated, and slower than float32.
        fast = device.type == "cpu" and torch.cpu.get_capabilities().get("avx512_bf16", False)
        return torch.bfloat16 if fast else torch.float32
    return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[asked]


@contextmanager
def few_threads(model: nn.Module) -> Iterator[None]:
    """While a text is written token by token: a small model computes in one thread, a larger one in as many as before.

    On a busy machine the difference is large, because one thread that has to wait makes the others wait: 120 tokens of
    a tiny model took 2 to 10 s in two threads on two busy cores.
    """
    before = torch.get_num_threads()
    if sum(parameter.numel() for parameter in model.parameters()) < ONE_THREAD_PARAMETERS:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


# Of malloc.h in the GNU C library: from which size on memory is taken from the system and given back at once, and how
# much free memory at the end of the heap is given back.
M_MMAP_THRESHOLD, M_TRIM_THRESHOLD = -3, -1
MOST_BYTES = 2**31 - 1


def keep_freed_memory() -> None:
    """Let this process keep memory that it frees, for its next step, instead of giving it back to the system.

    Every training step asks for the same tensors. Those above 32 MB, and the end of the heap, would each time be taken
    from the system anew and cleared page by page: 85,000 page faults a step with 6 layers, d_model 384, context 256,
    batch 12. Without them the step takes 2.23 instead of 2.47 s of one processor (4 layers, d_model 128, context 64:
    68 instead of 70 ms). For a process that trains and then ends; elsewhere than with glibc it does nothing.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, 2**30)
        mallopt(M_TRIM_THRESHOLD, MOST_BYTES)
