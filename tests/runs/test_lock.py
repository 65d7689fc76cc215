"""The lock is the truth about "alive"; the slot is given first come, first served, and survives every death."""

import fcntl
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from config.errors import RunError
from runs.folder import RunFolder, create_run
from runs.lock import RunLock, is_locked, wait_for_slot
from runs.state import read_status


def test_a_lock_is_seen_and_freed(run: RunFolder):
    assert not is_locked(run)
    lock = RunLock(run)
    lock.acquire()
    lock.acquire()  # its own holder is not refused
    assert is_locked(run)
    lock.release()
    lock.release()
    assert not is_locked(run)


def test_of_two_processes_that_fight_for_a_run_one_wins(run: RunFolder, start_worker, wait_until):
    fighters = [start_worker(run, None) for _ in range(2)]
    wait_until(lambda: any(fighter.poll() is not None for fighter in fighters))
    ended = [fighter for fighter in fighters if fighter.poll() is not None]
    assert len(ended) == 1
    assert "is already being trained by another process" in ended[0].communicate()[0]
    (winner,) = [fighter for fighter in fighters if fighter not in ended]
    wait_until(lambda: read_status(run).pid == winner.pid)


def test_acquire_waits_for_a_holder_that_is_about_to_leave(run: RunFolder):
    first, second = RunLock(run), RunLock(run)
    first.acquire()
    threading.Timer(0.2, first.release).start()
    with pytest.raises(RunError, match="already being trained"):
        second.acquire(timeout_seconds=0.0)
    second.acquire(timeout_seconds=5.0)
    assert is_locked(run)
    second.release()


def test_looking_never_makes_a_run_look_alive(run: RunFolder):
    run.lock_path.touch()
    descriptor = os.open(run.lock_path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)  # another reader that looks at this very moment
    assert not is_locked(run)
    os.close(descriptor)


def test_a_run_that_was_deleted_cannot_be_locked(run: RunFolder):
    for path in run.path.iterdir():
        path.unlink()
    run.path.rmdir()
    with pytest.raises(RunError, match="does not exist any more"):
        RunLock(run).acquire()
    assert not is_locked(run)


def test_a_lock_file_that_is_exchanged_while_it_is_taken_is_taken_anew(run: RunFolder, monkeypatch: pytest.MonkeyPatch):
    real = fcntl.flock
    exchanged: list[str] = []

    def flock_after_exchange(descriptor: int, operation: int) -> None:
        real(descriptor, operation)
        if not exchanged:
            exchanged.append("once")
            run.lock_path.unlink()
            run.lock_path.touch()

    monkeypatch.setattr("runs.lock.fcntl.flock", flock_after_exchange)
    with RunLock(run):
        assert is_locked(run), "the lock on the deleted file was taken for the run's"


def test_the_slot_is_free_after_release(root: Path, run: RunFolder):
    def fail(ahead: str | None) -> None:
        pytest.fail(f"waited behind {ahead}")

    for _ in range(2):
        slot = wait_for_slot(root, fail, run_id=run.id)
        slot.release()
        slot.release()
    assert not any((root / ".queue").iterdir())


def test_runs_train_in_the_order_in_which_they_came(root: Path, run: RunFolder):
    slot = wait_for_slot(root, lambda ahead: None, run_id="first")
    order: list[str] = []
    seen: dict[str, set[str | None]] = {"second": set(), "third": set()}

    def wait(name: str) -> None:
        taken = wait_for_slot(root, lambda ahead: seen[name].add(ahead), run_id=name, poll_seconds=0.01)
        order.append(name)
        taken.release()

    threads = []
    for name in seen:
        threads.append(threading.Thread(target=wait, args=(name,)))
        threads[-1].start()
        while not seen[name]:
            time.sleep(0.005)
    slot.release()
    for thread in threads:
        thread.join(10)
    assert order == ["second", "third"]
    assert "first" in seen["second"] and seen["second"] <= {"first", None}  # None while the slot changes hands
    assert "second" in seen["third"]


def test_leaving_the_queue_gives_the_place_back(root: Path, run: RunFolder):
    slot = wait_for_slot(root, lambda ahead: None, run_id="first")

    def leave(ahead: str | None) -> None:
        raise InterruptedError(f"behind {ahead}")

    with pytest.raises(InterruptedError, match="behind first"):
        wait_for_slot(root, leave, run_id="second")
    assert not any((root / ".queue").iterdir())
    slot.release()


def test_tickets_of_the_dead_are_swept(root: Path, run: RunFolder):
    (root / ".queue").mkdir()
    (root / ".queue" / f"{1:020d}-77").write_text("dead")
    wait_for_slot(root, lambda ahead: pytest.fail(f"waited behind {ahead}"), run_id="x").release()
    assert not any((root / ".queue").iterdir())


def test_a_killed_trainer_frees_its_slot_for_the_run_behind_it(root: Path, config, run, start_worker, wait_until):
    first = start_worker(run, "running")
    second_run = create_run(root, config, {})
    start_worker(second_run, "queued")
    wait_until(lambda: read_status(second_run).queued_behind == run.id)
    assert read_status(second_run).state == "queued"
    first.send_signal(signal.SIGKILL)
    wait_until(lambda: read_status(second_run).state == "running")
    assert read_status(second_run).queued_behind is None
