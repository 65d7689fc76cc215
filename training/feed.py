"""The batches of a training where it computes: each read and on its way to the device before it is needed.

    host     read 7 ── launch step 7 ── read 8, pin, send ── wait for loss 7 ── launch step 8 ──
    GPU                     └─ step 7 ───────────────────────┘─ copy 8            └─ step 8 ──

A GPU copies by itself, beside its computing, from memory that the system may not move (pinned). So the next batch is
read and sent while the GPU is busy with this one, and the step after finds it there.

On a CPU nothing runs beside. But a batch and its fingerprint, 70 microseconds when they are made over and over, take
310 between two steps that have filled the caches with other things: so small batches are read several at a time.

A batch is a function of (seed, step) alone (text/batches.py): what was fetched ahead, and whether anything was, changes
nothing that is trained.
"""

from typing import Any, NamedTuple

import numpy as np
import torch

from text.batches import Batch, BatchSource

STEPS_AT_ONCE, BYTES_AT_ONCE = 16, 2**20  # read together: so many batches, or what has room in so much memory
BYTES_OF_TOKEN = 16  # as an input and as a target


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
        self._copies_beside = device.type == "cuda"
        bytes_of_batch = (batch_size if rows is None else len(rows)) * source.n_ctx * BYTES_OF_TOKEN
        self._at_once = 1 if self._copies_beside else max(1, min(STEPS_AT_ONCE, BYTES_AT_ONCE // bytes_of_batch))
        self._known: dict[int, _Drawn] = {}

    def batch(self, step: int) -> Batch:
        """Inputs, targets and what else there is of a step, `[batch pos]` each, on the device. Forgets earlier ones."""
        for earlier in [known for known in self._known if known < step]:
            del self._known[earlier]
        return self._drawn(step).batch

    def fetch_ahead(self, step: int) -> None:
        """Read and send the batch of a step that comes. A CPU has nothing to wait for and reads it when due."""
        if self._copies_beside:
            self._drawn(step)

    def fingerprint(self, step: int) -> int:
        """A number for the whole batch of a step, over all processes: shows what a race is run on."""
        return self._drawn(step).fingerprint

    def count_targets(self, step: int) -> int:
        """How many targets count in the whole batch of a step, over all processes."""
        return self._drawn(step).n_targets

    def _drawn(self, step: int) -> "_Drawn":
        if step not in self._known:
            self._known |= {near: self._draw(near) for near in range(step, step + self._at_once)}
        return self._known[step]

    def _draw(self, step: int) -> "_Drawn":
        batch = self._send(self.source.batch(step, rows=self.rows, **self.draw))
        return _Drawn(batch, self.source.count_targets(step, **self.draw), self.source.fingerprint(step, **self.draw))

    def _send(self, batch: Batch) -> Batch:
        if self._copies_beside:
            batch = tuple(tensor.pin_memory() for tensor in batch)
        return tuple(tensor.to(self.device, non_blocking=True) for tensor in batch)


class _Drawn(NamedTuple):
    """What a training asks about a step."""

    batch: Batch
    n_targets: int
    fingerprint: int
