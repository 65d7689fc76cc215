"""Batches on their way to the device: what is fetched ahead is what would have been read, in any order of steps."""

import numpy as np
import pytest
import torch

from text.batches import Windows, batch_hash, get_batch
from training.feed import BatchFeed

TOKENS = np.arange(500, dtype=np.uint16)
DRAW = {"batch_size": 4, "n_ctx": 8, "seed": 5}
FEED = {"batch_size": 4, "seed": 5}


class PretendedGPU(BatchFeed):
    """Counts what is read ahead as on a GPU, and keeps it on the CPU."""

    def __init__(self):
        super().__init__(Windows(TOKENS, 8), torch.device("cuda"), **FEED)
        self.read: list[int] = []

    def _draw(self, step):
        self.read.append(step)
        return super()._draw(step)

    def _send(self, batch):
        return batch


def assert_batch_of(found, step, rows=slice(None)):
    for one, other in zip(found, get_batch(TOKENS, step, **DRAW), strict=True):
        assert torch.equal(one, other[rows])


def test_a_gpu_finds_the_next_batch_read_already():
    feed = PretendedGPU()
    for step in range(3):
        assert_batch_of(feed.batch(step), step)
        feed.fetch_ahead(step + 1)
        assert feed.fingerprint(step) == batch_hash(TOKENS, step, **DRAW)
    assert feed.read == [0, 1, 2, 3]  # each once, the next before it is asked for


@pytest.mark.parametrize("asked", [6, 8])
def test_another_step_than_the_one_fetched_is_read_anew(asked):
    feed = PretendedGPU()
    feed.fetch_ahead(7)
    assert_batch_of(feed.batch(asked), asked)


def test_a_cpu_reads_when_due_and_a_rank_its_rows():
    feed = BatchFeed(Windows(TOKENS, 8), torch.device("cpu"), rows=np.array([1, 3]), **FEED)
    feed.fetch_ahead(1)
    assert not feed._known
    assert_batch_of(feed.batch(1), 1, [1, 3])


def test_a_cpu_reads_small_batches_together_and_large_ones_one_by_one():
    cpu = torch.device("cpu")
    small = BatchFeed(Windows(TOKENS, 8), cpu, **FEED)
    assert_batch_of(small.batch(5), 5)
    assert list(small._known) == list(range(5, 21))
    for step in (20, 21, 6):  # the last of them, the first after them, one that was forgotten
        assert_batch_of(small.batch(step), step)
        assert min(small._known) == step and small.count_targets(step) == 4 * 8
        assert small.fingerprint(step) == batch_hash(TOKENS, step, **DRAW)
    large = BatchFeed(Windows(TOKENS, 256), cpu, batch_size=200, seed=5)
    large.batch(0)
    assert list(large._known) == [0]
