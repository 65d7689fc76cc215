"""Batches: windows of the token file, and the same windows one token later as targets.

Position t of a target is the token that follows position t of the input, so one window of n_ctx tokens gives n_ctx
predictions to learn from.

The batch of a step is a pure function of (seed, stream, step): no state is kept, so a resumed run reads exactly the
batches that an uninterrupted one reads, and any process can make any batch. The randomness comes from a counter-based
generator, Philox (Salmon et al. 2011, "Parallel Random Numbers: As Easy as 1, 2, 3"): seed and stream are its key, the
step is its counter.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from config.errors import TextError

Windowed = tuple[Int64[Tensor, "batch pos"], Int64[Tensor, "batch pos"]]
Batch = tuple[Int64[Tensor, "batch pos"], ...]
"""Inputs and targets `[batch pos]`, and of packed documents (text/packing.py) which document each input belongs to."""


class BatchSource(Protocol):
    """What a training reads of one split: running text here, pairs in text/packing.py."""

    @property
    def n_ctx(self) -> int:
        """Inputs of a row."""

    def __len__(self) -> int:
        """How many inputs one pass over it has."""

    def batch(
        self, step: int, *, batch_size: int, seed: int, stream: str = "train", rows: np.ndarray | None = None
    ) -> Batch:
        """The batch of a step, as `get_batch`."""

    def count_targets(self, step: int, *, batch_size: int, seed: int) -> int:
        """How many targets of a whole training batch count for the loss."""

    def in_order(self, batch_size: int = 64) -> Iterator[Batch]:
        """Everything once, for an exact loss."""

    def fingerprint(self, step: int, *, batch_size: int, seed: int) -> int:
        """As `batch_hash`."""


@dataclass(frozen=True)
class Windows:
    """Running text: windows of n_ctx out of `[token]` ids."""

    tokens: np.ndarray
    n_ctx: int

    def __len__(self) -> int:
        return len(self.tokens)

    def batch(
        self, step: int, *, batch_size: int, seed: int, stream: str = "train", rows: np.ndarray | None = None
    ) -> Batch:
        """`get_batch`."""
        return get_batch(
            self.tokens, step, batch_size=batch_size, n_ctx=self.n_ctx, seed=seed, stream=stream, rows=rows
        )

    def count_targets(self, step: int, *, batch_size: int, seed: int) -> int:
        """Every token is to be predicted."""
        return batch_size * self.n_ctx

    def in_order(self, batch_size: int = 64) -> Iterator[Batch]:
        """`sequential_windows`."""
        return sequential_windows(self.tokens, self.n_ctx, batch_size)

    def fingerprint(self, step: int, *, batch_size: int, seed: int) -> int:
        """`batch_hash`."""
        return batch_hash(self.tokens, step, batch_size=batch_size, n_ctx=self.n_ctx, seed=seed)


def get_batch(
    tokens: np.ndarray,
    step: int,
    *,
    batch_size: int,
    n_ctx: int,
    seed: int,
    stream: str = "train",
    rows: np.ndarray | None = None,
) -> Windowed:
    """Inputs and targets `[batch pos]` of one optimizer step: windows at random places, drawn with replacement.

    The batch is drawn whole. Gradient accumulation and several ranks cut it by rows, so they see the sequences that one
    process with one big batch sees.

    Args:
        tokens: `[token]` ids of a split, from `text.token_file.open_tokens`.
        stream: Independent draws for the same seed and step; "train" and "val" differ.
        rows: Which rows of the batch to read; by default all.

    Raises:
        TextError: the split is shorter than n_ctx + 1.
    """
    starts = window_starts(len(tokens), step, batch_size=batch_size, n_ctx=n_ctx, seed=seed, stream=stream)
    return _gather(np.asarray(tokens), starts if rows is None else starts[rows], n_ctx)


def window_starts(
    n_tokens: int, step: int, *, batch_size: int, n_ctx: int, seed: int, stream: str = "train"
) -> np.ndarray:
    """Where the windows of a step begin, `[batch]`, each from 0 to n_tokens - n_ctx - 1.

    Raises:
        TextError: the split is shorter than n_ctx + 1.
    """
    _check_length(n_tokens, n_ctx)
    philox = np.random.Philox(key=philox_key(seed, stream), counter=np.array([0, 0, 0, step], dtype=np.uint64))
    # Raw 64-bit words, because numpy promises that they never change; the bias of % is below n_tokens / 2^64.
    return (philox.random_raw(batch_size) % np.uint64(n_tokens - n_ctx)).astype(np.int64)


def batch_hash(tokens: np.ndarray, step: int, *, batch_size: int, n_ctx: int, seed: int) -> int:
    """48 bits that stand for all tokens of a training batch in their order: runs with equal ones read the same.

    48, because metrics are read as 64-bit floats, which hold whole numbers up to 53 bits.

    Raises:
        TextError: the split is shorter than n_ctx + 1.
    """
    starts = window_starts(len(tokens), step, batch_size=batch_size, n_ctx=n_ctx, seed=seed)
    windows = _windows(np.asarray(tokens), starts, n_ctx).astype(np.uint32)
    return int.from_bytes(hashlib.blake2b(windows.tobytes(), digest_size=6).digest(), "little")


def sequential_windows(tokens: np.ndarray, n_ctx: int, batch_size: int = 64) -> Iterator[Windowed]:
    """All of a split in order, window after window: every token but the first is a target exactly once.

    Batches are `[batch_size n_ctx]`; the last full windows may be fewer, and what is left is one shorter window.

    Raises:
        TextError: the split is shorter than n_ctx + 1.
    """
    _check_length(len(tokens), n_ctx)
    tokens = np.asarray(tokens)
    n_windows = (len(tokens) - 1) // n_ctx
    for first in range(0, n_windows, batch_size):
        starts = np.arange(first, min(first + batch_size, n_windows)) * n_ctx
        yield _gather(tokens, starts, n_ctx)
    rest = len(tokens) - 1 - n_windows * n_ctx
    if rest:
        yield _gather(tokens, np.array([n_windows * n_ctx]), rest)


def _gather(tokens: np.ndarray, starts: np.ndarray, n_ctx: int) -> Windowed:
    """One read of all windows, then two shifted copies as int64."""
    windows = _windows(tokens, starts, n_ctx)
    return torch.from_numpy(windows[:, :-1].astype(np.int64)), torch.from_numpy(windows[:, 1:].astype(np.int64))


def _windows(tokens: np.ndarray, starts: np.ndarray, n_ctx: int) -> np.ndarray:
    """`[batch n_ctx + 1]`: each with the token after its last."""
    return tokens.take(starts[:, None] + np.arange(n_ctx + 1))


def _check_length(n_tokens: int, n_ctx: int) -> None:
    if n_tokens < n_ctx + 1:
        raise TextError(f"the text has {n_tokens:,} tokens, but n_ctx {n_ctx:,} needs {n_ctx + 1:,} or more")


@lru_cache(maxsize=64)
def philox_key(seed: int, stream: str) -> np.ndarray:
    """The 128-bit key of a seed and a stream."""
    digest = hashlib.sha256(f"{seed} {stream}".encode()).digest()
    return np.frombuffer(digest[:16], dtype="<u8").astype(np.uint64)
