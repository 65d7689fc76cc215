"""The pre-flight: real steps in a scratch process, the arithmetic on them, and what happens when memory runs out."""

import statistics

import pytest

from config.errors import TrainingError
from config.sizes import runtime_bytes, training_memory
from runs.state import read_status
from training.preflight import WARN_SHARE, Preflight, describe, measure, suggest_accumulation
from training.preflight_steps import Timings
from training.worker import run_worker

TIMINGS = {
    "start_seconds": 3.0, "step_seconds": [0.1] * 8 + [0.2, 0.2], "evaluation_seconds": 2.0, "sample_seconds": 1.0,
    "save_seconds": 0.5, "split_seconds": 4.0, "peak_bytes": 500_000_000, "checkpoint_bytes": 10_000_000,
    "max_steps": 12, "train_tokens": 768,
}  # fmt: skip


def make(config, **changes) -> Preflight:
    """A pre-flight of these timings, without the process."""
    sizes = {"free_memory_bytes": 1_000_000_000, "free_disk_bytes": 1_000_000_000} | changes.pop("sizes", {})
    return Preflight(timings=Timings(**(TIMINGS | changes)), config=config, **sizes)


def test_a_tiny_run_is_measured_and_leaves_only_its_tokens(make_run):
    run = make_run()
    checkpoints = run.path.parent
    found = measure(run.read_config(), checkpoints, seconds=0.2)
    timings = found.timings
    assert timings and len(timings.step_seconds) >= 3 and min(timings.step_seconds) > 0
    assert timings.max_steps == 12 and timings.checkpoint_bytes > 10_000
    assert 100e6 < timings.peak_bytes < 2e9
    assert found.verdict in ("fits", "tight") and found.suggested_accumulation is None
    assert {path.name for path in checkpoints.iterdir()} <= {run.id, ".tokens", ".names"}
    (tokens,) = (path.name for path in (checkpoints / ".tokens").iterdir() if path.is_dir())
    run_worker(run)
    assert read_status(run).state == "finished" and run.read_data()["token_files"] == tokens
    assert found.epochs == pytest.approx(12 * 4 * 16 / run.read_data()["train_tokens"])
    assert found.verdict in describe(found)[0]


def test_out_of_memory_is_an_answer_with_a_way_out(make_run):
    run = make_run(model={"d_model": 128, "d_mlp": 512, "n_ctx": 64}, training={"batch_size": 512})
    config = run.read_config()
    limit = int((runtime_bytes() + 90e6) / WARN_SHARE)  # far too little for 512 sequences at once
    found = measure(config, run.path.parent, limit_bytes=limit)
    assert found.timings is None and found.verdict == "does not fit"
    parts = found.suggested_accumulation
    assert parts and f"--grad_accumulation {parts}" in describe(found)[0]
    model = config.with_vocabulary(config.data.expected_vocabulary)
    fitting = [n for n in range(2, 513) if 512 % n == 0
               and training_memory(model, 512 // n).total <= WARN_SHARE * limit]  # fmt: skip
    assert parts == fitting[0]  # that the curve stays the same: test_accumulated_micro_batches_are_the_whole_batch


def test_where_no_cut_of_the_batch_helps_none_is_suggested(make_run):
    config = make_run().read_config()
    assert suggest_accumulation(config, 10**7) is None  # less than Python with torch takes
    assert suggest_accumulation(config, 10**12) == 2
    assert "smaller width" in describe(make(config).__class__(
        timings=None, config=config, free_memory_bytes=10**7, free_disk_bytes=10**9
    ))[0]  # fmt: skip


def test_what_keeps_a_run_from_starting_is_said(make_run, text_file):
    config = make_run().read_config()
    text_file.unlink()
    with pytest.raises(TrainingError, match="tale"):
        measure(config, text_file.parent / "checkpoints")


def test_the_time_of_a_run_is_the_sum_of_its_parts(make_run):
    found = make(make_run().read_config())  # 12 steps, evaluates and saves every 4
    assert statistics.median(found.timings.step_seconds) == 0.1
    assert found.eta_seconds() == pytest.approx(3 + 12 * 0.1 + 4 * (2 + 1) + 3 * 0.5 + 4)
    low, high = found.eta_interval
    assert low == pytest.approx(found.eta_seconds()) and high == pytest.approx(found.eta_seconds(0.2))
    assert found.tokens_per_second == pytest.approx(4 * 16 / 0.1)
    assert found.epochs == 1.0


def test_checkpoints_at_two_intervals_are_counted_once(make_run):
    config = make_run(training={"max_steps": 30, "eval_interval": 6, "save_interval": 10}).read_config()
    found = make(config, max_steps=30, save_seconds=1.0, evaluation_seconds=0.0, sample_seconds=0.0)
    assert found.eta_seconds(0.0) == pytest.approx(3 + 4 + len({6, 12, 18, 24, 30, 10, 20}))


@pytest.mark.parametrize("changes, verdict", [
    ({}, "fits"), ({"peak_bytes": 700_000_000}, "tight"), ({"peak_bytes": 1_100_000_000}, "does not fit"),
    ({"checkpoint_bytes": 200_000_000}, "tight"), ({"checkpoint_bytes": 300_000_000}, "does not fit"),
])  # fmt: skip
def test_the_verdict_weighs_memory_and_disk(make_run, changes, verdict):
    assert make(make_run().read_config(), **changes).verdict == verdict
