"""What a stop leaves: a checkpoint with a loss, unless that would take long or somebody is in a hurry."""

import json
import signal

import pytest
import torch

from runs import control
from runs.folder import RunFolder
from runs.state import read_status
from runs.verification import read_val_loss
from training import signals as signals_module
from training import trainer as trainer_module
from training import worker as worker_module
from training.trained_on import KEY, describe_computing, note_or_compare
from training.worker import run_worker


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def stop_at_3(monkeypatch):
    """Make every training of this test ask for `stops` stops after step 3, by signals or by the control folder."""

    def prepare(run: RunFolder, signals: int) -> None:
        original = trainer_module.Trainer.update

        def update(self):
            original(self)
            if self.progress.step == 3:
                for _ in range(signals):
                    signal.raise_signal(signal.SIGINT)
                if not signals:
                    control.request(run, "stop")

        monkeypatch.setattr(trainer_module.Trainer, "update", update)

    return prepare


@pytest.mark.parametrize("signals", [0, 1])
def test_a_stop_leaves_a_checkpoint_with_the_loss_of_its_step(make_run, stop_at_3, signals):
    run = make_run()
    stop_at_3(run, signals)
    assert run_worker(run) == 0
    assert read_status(run).state == "stopped"
    evaluations = [json.loads(line) for line in run.metrics_path.read_text().splitlines() if "val_loss" in line]
    assert [line["step"] for line in evaluations] == [0, 3]
    assert read_val_loss(run.step_path(3)) == evaluations[-1]["val_loss_nats"]
    assert read_status(run).best_checkpoint == "step_00000003"


def test_a_signal_that_comes_twice_at_once_is_one(make_run, stop_at_3):
    run = make_run()
    stop_at_3(run, signals=3)
    assert run_worker(run) == 0 and read_val_loss(run.step_path(3)) is not None


def test_a_second_signal_saves_without_an_evaluation(make_run, stop_at_3, monkeypatch):
    monkeypatch.setattr(signals_module, "SAME_SIGNAL_SECONDS", 0.0)
    run = make_run()
    stop_at_3(run, signals=2)
    assert run_worker(run) == 0
    assert (read_status(run).state, read_status(run).last_checkpoint) == ("stopped", "step_00000003")
    assert read_val_loss(run.step_path(3)) is None


def test_an_evaluation_that_takes_long_is_given_up(make_run, stop_at_3, monkeypatch):
    run = make_run()
    stop_at_3(run, signals=0)
    monkeypatch.setattr(worker_module, "STOP_EVALUATION_SECONDS", 0.0)
    assert run_worker(run) == 0
    assert read_status(run).last_checkpoint == "step_00000003" and read_val_loss(run.step_path(3)) is None


def test_a_resume_says_what_it_computes_with_now(make_run, stop_at_3):
    run = make_run()
    stop_at_3(run, signals=0)
    run_worker(run)
    origin = json.loads(run.origin_path.read_text())
    assert origin[KEY] == describe_computing(torch.device("cpu"), "float32") and origin[KEY]["threads"] == 1
    assert origin["command"] == ["test"]
    assert note_or_compare(run, origin[KEY]) == ""
    run.origin_path.write_text(json.dumps(origin | {KEY: origin[KEY] | {"torch": "2.0", "threads": 7}}))
    run_worker(run)
    assert f"resumed with torch {torch.__version__}, was 2.0; threads 1, was 7: the last" in run.log_path.read_text()
    assert json.loads(run.origin_path.read_text())[KEY]["threads"] == 7
