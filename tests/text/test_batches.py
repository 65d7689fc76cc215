"""Batches: targets are the next tokens, and a batch depends on nothing but (seed, stream, step)."""

import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from config.errors import TextError
from text.batches import get_batch, sequential_windows, window_starts

TOKENS = np.arange(1_000, dtype=np.uint16)
SIZES = {"batch_size": 12, "n_ctx": 16, "seed": 7}


def test_targets_are_the_tokens_that_follow() -> None:
    inputs, targets = get_batch(TOKENS, 3, **SIZES)
    assert inputs.shape == targets.shape == (12, 16)
    assert inputs.dtype == targets.dtype == torch.int64
    assert inputs.is_contiguous() and targets.is_contiguous()
    assert torch.equal(targets, inputs + 1)  # the tokens count upwards
    assert torch.equal(inputs[:, 1:], inputs[:, :-1] + 1)


def test_a_batch_is_a_function_of_seed_stream_and_step() -> None:
    first = get_batch(TOKENS, 5, **SIZES)[0]
    for step in (6, 1, 10**12):
        get_batch(TOKENS, step, **SIZES)
    assert torch.equal(first, get_batch(TOKENS, 5, **SIZES)[0])
    assert torch.equal(first, get_batch(TOKENS.astype(np.uint32), 5, **SIZES)[0])
    assert not torch.equal(first, get_batch(TOKENS, 6, **SIZES)[0])
    assert not torch.equal(first, get_batch(TOKENS, 5, **SIZES, stream="val")[0])
    assert not torch.equal(first, get_batch(TOKENS, 5, **{**SIZES, "seed": 8})[0])


def test_the_order_of_the_data_is_pinned() -> None:
    """Resuming an old run, on any machine and numpy, must read the batches it would have read."""
    assert window_starts(1_000, 0, batch_size=4, n_ctx=16, seed=1337).tolist() == [539, 836, 36, 589]
    assert window_starts(1_000, 1, batch_size=4, n_ctx=16, seed=1337).tolist() == [640, 706, 336, 545]


def test_steps_do_not_share_draws() -> None:
    """A counter that moved by one per step would give overlapping draws."""
    seen = [tuple(window_starts(10**12, step, batch_size=8, n_ctx=16, seed=1)) for step in range(200)]
    assert len({start for starts in seen for start in starts}) == 200 * 8


def test_a_smaller_batch_is_the_beginning_of_a_larger_one() -> None:
    small = window_starts(1_000, 2, batch_size=3, n_ctx=16, seed=1)
    assert window_starts(1_000, 2, batch_size=12, n_ctx=16, seed=1)[:3].tolist() == small.tolist()


def test_all_places_are_drawn_equally_often() -> None:
    starts = np.concatenate([window_starts(20, step, batch_size=50, n_ctx=16, seed=1) for step in range(100)])
    counts = Counter(starts.tolist())
    assert set(counts) == {0, 1, 2, 3}  # 3 + 16 is the last token, a target only
    assert min(counts.values()) > 1_100


def test_the_shortest_split() -> None:
    inputs, targets = get_batch(TOKENS[:17], 0, **SIZES)
    assert torch.equal(inputs, torch.arange(16).expand(12, 16))
    assert torch.equal(targets, torch.arange(1, 17).expand(12, 16))
    for make in (lambda: get_batch(TOKENS[:16], 0, **SIZES), lambda: next(sequential_windows(TOKENS[:16], 16))):
        with pytest.raises(TextError, match="has 16 tokens, but n_ctx 16 needs 17 or more"):
            make()


@pytest.mark.parametrize("n_tokens", [17, 18, 33, 100, 160, 161])
def test_windows_in_order_score_every_token_once(n_tokens: int) -> None:
    batches = list(sequential_windows(TOKENS[:n_tokens], 16, batch_size=4))
    inputs = torch.cat([inputs.flatten() for inputs, _ in batches])
    targets = torch.cat([targets.flatten() for _, targets in batches])
    assert inputs.tolist() == list(range(n_tokens - 1))
    assert targets.tolist() == list(range(1, n_tokens))
    assert all(inputs.shape[0] <= 4 and inputs.shape[1] <= 16 for inputs, _ in batches)


def test_a_batch_from_a_file_takes_microseconds(tmp_path: Path) -> None:
    path = tmp_path / "tokens.bin"
    np.random.default_rng(0).integers(0, 65, 1_000_000, dtype=np.uint16).tofile(path)
    tokens = np.memmap(path, dtype=np.uint16, mode="r")
    durations = []
    for step in range(500):
        start = time.perf_counter()
        get_batch(tokens, step, batch_size=12, n_ctx=64, seed=1)
        durations.append(time.perf_counter() - start)
    # About 40 µs; the list of slices it replaces takes 300 µs. The limit leaves room for a busy machine.
    assert sorted(durations)[50] < 200e-6
