"""What a run computes with, noted in its origin.json by its first attempt, and what is different when it resumes.

A resumed run repeats the undisturbed one bit for bit only where sums are added in the same order: with the same torch,
the same device, number format, threads and processes.
"""

from typing import Any

import torch

from config.errors import RunError
from runs.files import read_json, write_json
from runs.folder import RunFolder
from runs.machine import processor_name

KEY = "trained_on"


def describe_computing(device: torch.device, dtype_name: str, processes: int = 1) -> dict[str, Any]:
    """Torch, device, number format and threads of this process, and how many processes train together."""
    is_cuda = device.type == "cuda"
    return {
        "torch": torch.__version__,
        "device": device.type,
        "device_name": torch.cuda.get_device_name(device) if is_cuda else processor_name(),
        "dtype": dtype_name,
        "threads": torch.get_num_threads(),
        "processes": processes,
    }


def note_or_compare(run: RunFolder, now: dict[str, Any]) -> str:
    """Add `now` to origin.json in the first attempt; later, a sentence about what has changed, or nothing."""
    try:
        origin = read_json(run.origin_path)
    except RunError:
        return ""  # a run that was copied without it
    if not isinstance(origin, dict):
        return ""
    before = origin.get(KEY)
    if not isinstance(before, dict):
        write_json(run.origin_path, origin | {KEY: now})
        return ""
    changed = [f"{name} {value}, was {before[name]}" for name, value in now.items() if before.get(name, value) != value]
    if not changed:
        return ""
    return f"resumed with {'; '.join(changed)}: the last digits of the losses may differ from an undisturbed run"
