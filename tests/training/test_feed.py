"""Batches on their way to the device: what is fetched ahead is what would have been read, in any order of steps."""

import numpy as np
import pytest
import torch

from text.batches import Windows, get_batch
from training.feed import BatchFeed

TOKENS = np.arange(500, dtype=np.uint16)
DRAW = {"batch_size": 4, "n_ctx": 8, "seed": 5}
FEED = {"batch_size": 4, "seed": 5}


class PretendedGPU(BatchFeed):
    """Counts what is read ahead as on a GPU, and keeps it on the CPU."""

    def __init__(self):
        super().__init__(Windows(TOKENS, 8), torch.device("cuda"), **FEED)
        self.read: list[int] = []

    def _send(self, step):
        self.read.append(step)
        return get_batch(TOKENS, step, **DRAW)


def assert_batch_of(found, step, rows=slice(None)):
    for one, other in zip(found, get_batch(TOKENS, step, **DRAW), strict=True):
        assert torch.equal(one, other[rows])


def test_a_gpu_finds_the_next_batch_read_already():
    feed = PretendedGPU()
    for step in range(3):
        assert_batch_of(feed.batch(step), step)
        feed.fetch_ahead(step + 1)
    assert feed.read == [0, 1, 2, 3]  # each once, the next before it is asked for


@pytest.mark.parametrize("asked", [6, 8])
def test_another_step_than_the_one_fetched_is_read_anew(asked):
    feed = PretendedGPU()
    feed.fetch_ahead(7)
    assert_batch_of(feed.batch(asked), asked)


def test_a_cpu_reads_when_due_and_a_rank_its_rows():
    feed = BatchFeed(Windows(TOKENS, 8), torch.device("cpu"), rows=np.array([1, 3]), **FEED)
    feed.fetch_ahead(1)
    assert feed._ahead is None
    assert_batch_of(feed.batch(1), 1, [1, 3])
