"""Baselines of a run: computed beside it, there at its end, told in its log; and never a reason to fail or to wait."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from runs import control
from runs.baselines import read_baselines
from runs.state import read_status
from training import baselines as module
from training import trainer as trainer_module
from training.baselines import BaselineLadder
from training.worker import run_worker

NAMES = {"uniform_nats", "gzip_nats", "xz_nats"} | {f"ngram_{order}_nats" for order in range(1, 7)}


def tokens_folder(run) -> Path:
    return run.path.parent / ".tokens" / run.read_data()["token_files"]


def evaluations_of(run) -> list[dict]:
    lines = map(json.loads, run.metrics_path.read_text().splitlines())
    return [line for line in lines if "val_loss_nats" in line]


def test_a_run_ends_with_its_baselines_and_the_next_one_finds_them(make_run, monkeypatch):
    run = make_run(training={"baselines": True, "max_steps": 40})
    assert run_worker(run) == 0 and read_status(run).state == "finished"
    found = read_baselines(run)
    assert set(found) == NAMES
    assert found["uniform_nats"] == math.log(run.read_data()["d_vocab"])
    assert found["ngram_2_nats"] < found["ngram_1_nats"] < found["uniform_nats"]
    log = run.log_path.read_text()
    assert "baselines in nats per token: uniform " in log
    step = next(row["step"] for row in evaluations_of(run) if row["val_loss_nats"] < found["ngram_1_nats"])
    assert f"has overtaken a unigram at step {step}" in log
    figure = run.figure_path.read_text()
    for name in ("uniform", "unigram", "bigram", "trigram", "4-gram", "5-gram", "6-gram", "gzip", "xz"):
        assert figure.count(f'{name}"') == 1, f"{name} is not on the plot"

    def no_process(*arguments, **settings):
        raise AssertionError("computed a second time")

    monkeypatch.setattr(module.subprocess, "Popen", no_process)
    second = make_run(training={"baselines": True})
    assert run_worker(second) == 0
    assert read_baselines(second) == found


def test_off_means_no_process_and_no_file(make_run, monkeypatch):
    monkeypatch.setattr(module.subprocess, "Popen", None)
    run = make_run(training={"baselines": False})
    assert run_worker(run) == 0 and not run.baselines_path.exists()
    assert "baselines" not in run.log_path.read_text()


def test_the_process_starts_after_the_first_evaluation_in_a_session_of_its_own(make_run, monkeypatch):
    run, started = make_run(training={"baselines": True}), []
    popen = subprocess.Popen

    def note(command, **settings):
        process = popen(command, **settings)
        started.append((len(evaluations_of(run)), os.getsid(process.pid) == process.pid, settings["close_fds"]))
        return process

    monkeypatch.setattr(
        module.subprocess, "Popen", lambda command, **more: note(command, **({"close_fds": True} | more))
    )
    run_worker(run)
    assert started == [(1, True, True)]


@pytest.fixture
def endless(monkeypatch):
    """Baselines that would take for ever: the processes that were started for them."""
    processes, popen = [], subprocess.Popen

    def sleep(command, **settings):
        processes.append(popen([sys.executable, "-c", "import time; time.sleep(600)"], **settings))
        return processes[-1]

    monkeypatch.setattr(module.subprocess, "Popen", sleep)
    return processes


def gone(process: subprocess.Popen) -> bool:
    return process.returncode is not None and not psutil.pid_exists(process.pid)


def test_the_end_waits_only_so_long(make_run, endless, monkeypatch):
    monkeypatch.setattr(module, "WAIT_SECONDS", 0.3)
    run = make_run(training={"baselines": True})
    assert run_worker(run) == 0 and read_status(run).state == "finished"
    log = run.log_path.read_text()
    assert "waiting for the baselines" in log and "were given up" in log and not run.baselines_path.exists()
    assert gone(endless[0])


def test_what_is_ready_at_the_end_is_not_waited_for(make_run):
    run, said = make_run(), []
    run_worker(run)
    ladder = BaselineLadder(run, said.append)
    ladder.process = subprocess.Popen([sys.executable, "-c", "import sys; sys.exit('broken')"], stderr=subprocess.PIPE)
    while psutil.Process(ladder.process.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    ladder.wait(lambda: False)
    assert said == ["the baselines could not be computed: broken"]


def test_a_stop_while_training_does_not_wait(make_run, endless, monkeypatch):
    run = make_run(training={"baselines": True, "max_steps": 1_000})
    original = trainer_module.Trainer.update
    monkeypatch.setattr(trainer_module.Trainer, "update", lambda self: (original(self), control.request(run, "stop")))
    started = time.monotonic()
    assert run_worker(run) == 0 and read_status(run).state == "stopped"
    assert time.monotonic() - started < 20 and gone(endless[0])


def test_a_stop_while_waiting_ends_the_wait(make_run, endless, monkeypatch):
    run = make_run(training={"baselines": True})
    waited = []

    def ask(seconds):
        waited.append(seconds)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(module.time, "sleep", ask)
    assert run_worker(run) == 0 and read_status(run).state == "finished"
    assert len(waited) == 1 and gone(endless[0])


def test_a_failed_run_leaves_no_process(make_run, endless, monkeypatch):
    original = trainer_module.Trainer.loss
    losses = iter([1.0, math.nan])
    monkeypatch.setattr(trainer_module.Trainer, "loss", lambda *arguments: original(*arguments) * next(losses))
    run = make_run(training={"baselines": True})
    assert run_worker(run) == 1 and read_status(run).state == "failed"
    assert gone(endless[0])


@pytest.mark.parametrize("problem", ["does not start", "fails"])
def test_without_baselines_a_run_goes_on_and_says_why(make_run, monkeypatch, problem):
    popen = subprocess.Popen

    def broken(command, **settings):
        if problem == "does not start":
            raise OSError("no more processes")
        return popen([sys.executable, "-c", "import sys; sys.exit('no more memory')"], **settings)

    monkeypatch.setattr(module.subprocess, "Popen", broken)
    run = make_run(training={"baselines": True})
    assert run_worker(run) == 0 and read_status(run).state == "finished"
    assert "baselines can" in run.log_path.read_text().replace("could not", "cannot")
    assert "no more" in run.log_path.read_text()


def test_what_was_overtaken_before_a_resume_keeps_its_step(make_run):
    run, said = make_run(), []
    run_worker(run)
    losses = {"ngram_1_nats": 2.0, "ngram_2_nats": 1.0}
    rows = [{"step": step, "val_loss_nats": loss} for step, loss in ((0, 3.0), (4, 1.9), (8, 1.8))]
    run.metrics_path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run.baselines_path.write_text(json.dumps(losses))
    ladder = BaselineLadder(run, said.append)
    ladder.evaluated(8, 1.8)
    ladder.evaluated(12, 1.7)
    ladder.evaluated(16, 0.9)
    assert said == ["has overtaken a unigram at step 4", "has overtaken a bigram at step 16"]


def test_the_last_evaluation_also_scores_the_whole_split(make_run):
    run = make_run()
    run_worker(run)
    *before, last = evaluations_of(run)
    assert all("val_split_loss_nats" not in row for row in before)
    assert last["val_split_tokens"] == run.read_data()["val_tokens"] - 1
    assert last["val_split_loss_nats"] == pytest.approx(last["val_loss_nats"], abs=0.15)
    assert last["val_split_bits_per_byte"] == pytest.approx(last["val_split_loss_nats"] / math.log(2))  # ASCII
    assert f"whole validation split: {last['val_split_loss_nats']:.4f} nats" in run.log_path.read_text()
