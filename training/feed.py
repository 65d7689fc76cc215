"""The batches of a training where it computes: each read and on its way to the device before it is needed.

    host     read 7 ── launch step 7 ── read 8, pin, send ── wait for loss 7 ── launch step 8 ──
    GPU                     └─ step 7 ───────────────────────┘─ copy 8            └─ step 8 ──

A GPU copies by itself, beside its computing, from memory that the system may not move (pinned). So the next batch is
read and sent while the GPU is busy with this one, and the step after finds it there. A batch is a function of (seed,
step) alone (text/batches.py): what was fetched ahead, and whether anything was, changes nothing that is trained.
"""

import numpy as np
import torch

from text.batches import Batch, batch_hash, get_batch


class BatchFeed:
    """The batches of one split for one process.

    Args:
        tokens: `[token]` ids of the split.
        rows: Which rows of every batch this process reads; by default all.
    """

    def __init__(
        self,
        tokens: np.ndarray,
        device: torch.device,
        *,
        batch_size: int,
        n_ctx: int,
        seed: int,
        rows: np.ndarray | None = None,
    ):
        self.tokens, self.device, self.rows = tokens, device, rows
        self.batch_size, self.n_ctx, self.seed = batch_size, n_ctx, seed
        self._ahead: tuple[int, Batch] | None = None

    def batch(self, step: int) -> Batch:
        """Inputs and targets of a step, `[batch pos]` each, on the device."""
        if self._ahead is not None and self._ahead[0] == step:
            return self._ahead[1]
        return self._send(step)

    def fetch_ahead(self, step: int) -> None:
        """Read and send the batch of a step that comes. A CPU has nothing to wait for and reads it when due."""
        if self.device.type == "cuda":
            self._ahead = step, self._send(step)

    def fingerprint(self, step: int) -> int:
        """A number for the whole batch of a step, over all processes: shows what a race is run on."""
        return batch_hash(self.tokens, step, batch_size=self.batch_size, n_ctx=self.n_ctx, seed=self.seed)

    def _send(self, step: int) -> Batch:
        inputs, targets = get_batch(
            self.tokens, step, batch_size=self.batch_size, n_ctx=self.n_ctx, seed=self.seed, rows=self.rows
        )
        if self.device.type == "cuda":
            inputs, targets = inputs.pin_memory(), targets.pin_memory()
        return inputs.to(self.device, non_blocking=True), targets.to(self.device, non_blocking=True)
