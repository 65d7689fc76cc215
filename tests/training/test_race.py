"""A race through real workers: the same batches for everybody, and against oneself the same curve, bit for bit."""

import json

import numpy as np
import pytest
import torch

from runs import race
from runs.folder import RunFolder
from runs.metrics import MetricsReader
from text.batches import batch_hash, window_starts
from training.worker import run_worker


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def curve(run: RunFolder) -> list[tuple]:
    """Every number of every line, by its bits, but those of the clock."""
    lines = [json.loads(line) for line in run.metrics_path.read_text().splitlines()]
    return [
        tuple((name, value.hex() if isinstance(value, float) else value) for name, value in sorted(line.items())
              if name not in ("elapsed_seconds", "tokens_per_second"))
        for line in lines
    ]  # fmt: skip


def readers(runs: list[RunFolder]) -> list[MetricsReader]:
    found = [MetricsReader(run.metrics_path) for run in runs]
    for reader in found:
        reader.refresh(force=True)
    return found


def test_a_race_against_oneself_is_a_dead_heat_and_others_read_the_same_batches(make_run):
    first = make_run(model={"dropout": 0.1}).read_config()
    other = make_run(model={"position": "alibi", "n_ctx": 8}, training={"seed": 5, "batch_size": 2}).read_config()
    entries = race.line_up([first, first, other])
    checkpoints = make_run().path.parent
    runs = race.start(checkpoints, entries, kind="race", launcher=run_worker)
    assert len(curve(runs[0])) == 12 + 4 and curve(runs[0]) == curve(runs[1])
    assert curve(runs[0]) != curve(runs[2])
    match = race.compare_batches(readers(runs))
    assert (match.steps, match.first_difference) == (12, None)
    strangers = [runs[0], make_run(training={"seed": 5})]
    run_worker(strangers[1])
    assert race.compare_batches(readers(strangers)).first_difference == 1


def test_the_hash_is_of_every_token_in_its_place():
    tokens = np.arange(1_000, dtype=np.uint16) % 61
    draw = {"batch_size": 3, "n_ctx": 8, "seed": 1}
    found = batch_hash(tokens, 5, **draw)
    assert 0 <= found < 2**48 and found == batch_hash(tokens.astype(np.uint32), 5, **draw)
    starts = window_starts(len(tokens), 5, **draw)
    for place in (starts[0], starts[-1] + 8):  # the first token that is read, and the last that is to be said
        changed = tokens.copy()
        changed[place] += 61
        assert batch_hash(changed, 5, **draw) != found
    assert len({batch_hash(tokens, step, **draw) for step in range(50)}) == 50
    assert batch_hash(tokens, 5, **(draw | {"seed": 2})) != found
