"""A paused run lets others train, and takes its turn again when it goes on."""

import threading
import time
from collections.abc import Callable

import pytest
import torch

from runs import control
from runs.folder import RunFolder
from runs.lock import wait_for_slot
from runs.state import read_status
from training import trainer as trainer_module
from training.worker import run_worker


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def wait_for_state(run: RunFolder, state: str) -> None:
    deadline = time.monotonic() + 20
    while read_status(run).state != state:
        assert time.monotonic() < deadline, f"{read_status(run).state}, not {state}"
        time.sleep(0.01)


@pytest.fixture
def run_beside(make_run, monkeypatch) -> Callable[[Callable[[RunFolder, RunFolder], None]], RunFolder]:
    """Pause a run at step 3, give its slot to another one, make it queue behind that, and act there."""

    def start(act: Callable[[RunFolder, RunFolder], None]) -> RunFolder:
        run, other = make_run(), make_run()
        original = trainer_module.Trainer.update
        errors: list[BaseException] = []

        def update_and_pause(self):
            original(self)
            if self.progress.step == 3:
                control.request(run, "pause")

        def watch() -> None:
            try:
                wait_for_state(run, "paused")
                slot = wait_for_slot(run.path.parent, stop_waiting_in(10), run_id=other.id)
                control.clear(run, "pause")
                wait_for_state(run, "queued")
                assert read_status(run).queued_behind == other.id
                act(run, other)
                slot.release()
            except BaseException as error:
                errors.append(error)
                control.request(run, "stop")

        monkeypatch.setattr(trainer_module.Trainer, "update", update_and_pause)
        thread = threading.Thread(target=watch)
        thread.start()
        assert run_worker(run) == 0
        thread.join(20)
        assert not errors, errors
        return run

    return start


def stop_waiting_in(seconds: float) -> Callable[[str | None], None]:
    deadline = time.monotonic() + seconds

    def on_wait(ahead: str | None) -> None:
        assert time.monotonic() < deadline, f"a paused run kept the slot: behind {ahead}"

    return on_wait


def test_a_paused_run_lets_the_next_one_train_and_goes_on_after_it(run_beside):
    run = run_beside(lambda run, other: None)
    status = read_status(run)
    assert (status.state, status.step, status.queued_behind) == ("finished", 12, None)
    assert not any((run.path.parent / ".queue").iterdir())


def test_a_stop_needs_no_turn(run_beside):
    def stop(run: RunFolder, other: RunFolder) -> None:
        control.request(run, "stop")
        wait_for_state(run, "stopped")

    run = run_beside(stop)
    assert (read_status(run).step, read_status(run).last_checkpoint) == (3, "step_00000003")


def test_a_run_that_waits_to_go_on_can_be_paused_again(run_beside):
    def pause(run: RunFolder, other: RunFolder) -> None:
        control.request(run, "pause")
        wait_for_state(run, "paused")
        control.clear(run, "pause")

    assert read_status(run_beside(pause)).state == "finished"


def test_a_run_that_has_nobody_in_front_of_it_was_never_queued(make_run, monkeypatch):
    from runs.state import StateWriter

    states: list[str] = []
    original = StateWriter.set

    def note(self, state, *arguments, **values):
        states.append(state)
        original(self, state, *arguments, **values)

    monkeypatch.setattr(StateWriter, "set", note)
    run_worker(make_run())
    assert states == ["starting", "starting", "running", "finished"]
