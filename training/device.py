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


def repeat_exactly(device: torch.device) -> None:
    """Let this process compute the same bits every time, on a CPU; what a GPU computes is not promised.

    Compiled code otherwise sums the gradient of an embedding with atomic additions, in the order in which the threads
    happen to come. Where rows are summed in order it is even faster (for 768 tokens 57 microseconds, 183 before).
    """
    if device.type == "cpu":
        torch.use_deterministic_algorithms(True)
        # A check for bugs, which costs a pass over memory.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


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
