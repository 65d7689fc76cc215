"""What a run's reader gives to the charts."""

import json
import math

import pytest

from runs.folder import RunFolder
from ui.curves import SMALL_BUCKETS, RunReader


@pytest.fixture
def run(tmp_path):
    return RunFolder(tmp_path)


def write(run, steps, losses=None, mode="w"):
    with open(run.metrics_path, mode) as file:
        for index, step in enumerate(steps):
            loss = losses[index] if losses else 3.0
            row = {"step": step, "tokens_seen": step * 10, "elapsed_seconds": step * 2.0, "train_loss_nats": loss}
            row |= {"learning_rate": 1e-3, "grad_norm": 1.0, "tokens_per_second": 5.0}
            file.write(json.dumps(row) + "\n")


def evaluate(run, step):
    with open(run.metrics_path, "a") as file:
        file.write(json.dumps({"step": step, "val_loss_nats": 2.0, "val_bits_per_byte": 1.0}) + "\n")


def read(run):
    reader = RunReader(run)
    reader.refresh(force=True)
    return reader


def test_evaluations_stand_where_their_step_stands_on_every_axis(run):
    write(run, range(1, 5))
    evaluate(run, 0)
    evaluate(run, 3)
    reader = read(run)
    assert reader.curves("step", 0.9).validation[0] == [0, 3]
    assert reader.curves("tokens", 0.9).validation[0] == [0, 30]
    assert reader.curves("time", 0.9).validation[0] == [0, 6]


def test_an_evaluation_before_the_first_step_is_at_zero(run):
    evaluate(run, 0)
    assert read(run).curves("time", 0.9).validation[0] == [0.0]


def test_losses_that_are_no_numbers_leave_no_point(run):
    write(run, range(1, 4), losses=[3.0, "nan", 2.0])
    values = read(run).curves("step", 0.0).train[1]
    assert all(value is None or math.isfinite(value) for value in values)
    assert [value for value in values if value is not None] == [3.0, 2.0]


def test_smoothing_is_left_out_when_it_is_off(run):
    write(run, range(1, 4))
    assert read(run).curves("step", 0.0).smoothed is None
    assert read(run).curves("step", 0.9).smoothed is not None


def test_a_long_run_is_thinned_and_a_spike_stays(run):
    losses = [3.0] * 20_000
    losses[12_345] = 9.0
    write(run, range(1, 20_001), losses)
    curves = read(run).curves("step", 0.9)
    assert len(curves.train[0]) < 1_000 and max(curves.train[1]) == 9.0
    assert len(curves.grad_norm.mean[0]) <= SMALL_BUCKETS and curves.grad_norm.lowest


def test_small_charts_wait_but_not_for_the_end(run):
    write(run, range(1, 4))
    reader = read(run)
    assert len(reader.curves("step", 0.0).grad_norm.mean[0]) == 3
    write(run, range(4, 6), mode="a")
    reader.metrics.refresh(force=True)
    assert len(reader.curves("step", 0.0).grad_norm.mean[0]) == 3
    reader.refresh(force=True)
    assert len(reader.curves("step", 0.0).grad_norm.mean[0]) == 5


def test_speed_is_by_the_clock_and_starts_anew_after_a_resume(run, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr("ui.curves.time.monotonic", lambda: clock[0])
    write(run, range(1, 11))
    reader = read(run)
    assert reader.seconds_per_step(10) == pytest.approx(2.0)  # training time alone, until somebody has watched a while
    clock[0] += 6
    assert reader.seconds_per_step(14) == pytest.approx(1.5)
    assert reader.seconds_per_step(3) == pytest.approx(2.0)
