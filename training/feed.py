"""The batches of a training where it computes: each read and on its way to the device before it is needed.

    host     read 7 ── launch step 7 ── read 8, pin, send ── wait for loss 7 ── launch step 8 ──
    GPU                     └─ step 7 ───────────────────────┘─ copy 8            └─ step 8 ──

A GPU copies by itself, beside its computing, from memory that the system may not move (pinned). So the next batch is
read and sent while the GPU is busy with this one, and the step after finds it there. A batch is a function of (seed,
step) alone (text/batches.py): what was fetched ahead, and whether anything was, changes nothing that is trained.
"""

from typing import Any

import numpy as np
import torch

from text.batches import Batch, BatchSource


class BatchFeed:
    """The batches of one split for one process.

    Args:
        source: The split.
        rows: Which rows of every batch this process reads; by default all.
    """

    def __init__(
        self,
        source: BatchSource,
        device: torch.device,
        *,
        batch_size: int,
        seed: int,
        rows: np.ndarray | None = None,
    ):
        self.source, self.device, self.rows = source, device, rows
        self.draw: dict[str, Any] = {"batch_size": batch_size, "seed": seed}
        self._ahead: tuple[int, Batch] | None = None

    def batch(self, step: int) -> Batch:
        """Inputs, targets and what else there is of a step, `[batch pos]` each, on the device."""
        if self._ahead is not None and self._ahead[0] == step:
            return self._ahead[1]
        return self._send(step)

    def fetch_ahead(self, step: int) -> None:
        """Read and send the batch of a step that comes. A CPU has nothing to wait for and reads it when due."""
        if self.device.type == "cuda":
            self._ahead = step, self._send(step)

    def fingerprint(self, step: int) -> int:
        """A number for the whole batch of a step, over all processes: shows what a race is run on."""
        return self.source.fingerprint(step, **self.draw)

    def count_targets(self, step: int) -> int:
        """How many targets count in the whole batch of a step, over all processes."""
        return self.source.count_targets(step, **self.draw)

    def _send(self, step: int) -> Batch:
        batch = self.source.batch(step, rows=self.rows, **self.draw)
        if self.device.type == "cuda":
            batch = tuple(tensor.pin_memory() for tensor in batch)
        return tuple(tensor.to(self.device, non_blocking=True) for tensor in batch)
