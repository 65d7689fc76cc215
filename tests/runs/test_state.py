"""Every state of RELIABILITY's table: stored, derived, and the way from one to the next."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from config.errors import RunError
from runs import control, state
from runs.folder import RunFolder
from runs.lock import RunLock
from runs.state import LIVE, TERMINAL, StateWriter, read_status


def store(run: RunFolder, **values: Any) -> None:
    run.state_path.write_text(json.dumps({"heartbeat": time.time(), **values}))


def make_older(path: Path, seconds: float) -> None:
    past = time.time() - seconds
    os.utime(path, (past, past))


@pytest.mark.parametrize(
    ("stored", "silence", "locked", "expected"),
    [
        ("queued", 0, True, "queued"),
        ("queued", 5, False, "queued"),
        ("queued", 11, False, "orphaned"),
        ("starting", 5, False, "starting"),
        ("starting", 11, False, "orphaned"),
        ("starting", 31, True, "stalled"),
        ("running", 0, True, "running"),
        ("running", 29, True, "running"),
        ("running", 31, True, "stalled"),
        ("running", 0, False, "orphaned"),
        ("paused", 0, True, "paused"),
        ("paused", 0, False, "orphaned"),
        ("stopping", 0, True, "stopping"),
        ("stopping", 0, False, "orphaned"),
        *[
            (final, silence, locked, final)
            for final in sorted(TERMINAL)
            for silence in (0, 999)
            for locked in (True, False)
        ],
    ],
)
def test_the_state_follows_from_file_lock_and_clock(
    run: RunFolder, stored: str, silence: float, locked: bool, expected: str
):
    store(run, state=stored, heartbeat=time.time() - silence)
    lock = RunLock(run)
    if locked:
        lock.acquire()
    status = read_status(run)
    lock.release()
    assert status.state == expected
    assert status.live == (expected in LIVE)
    assert status.terminal == (expected in TERMINAL)
    assert status.resumable == (expected in {"stopped", "failed", "orphaned"})
    assert bool(status.reason) == (expected in {"stalled", "orphaned"})


def test_slow_steps_are_not_taken_for_a_stalled_run(run: RunFolder):
    store(run, state="running", heartbeat=time.time() - 100, stale_after_seconds=150.0)
    with RunLock(run):
        assert read_status(run).state == "running"
        store(run, state="running", heartbeat=time.time() - 151, stale_after_seconds=150.0)
        assert read_status(run).state == "stalled"


def test_a_folder_without_state_is_starting_for_ten_seconds(run: RunFolder):
    assert read_status(run).state == "starting"
    make_older(run.config_path, 11)
    assert read_status(run).state == "orphaned"
    with RunLock(run):
        assert read_status(run).state == "starting"


def test_a_folder_without_config_is_unreadable(run: RunFolder):
    run.config_path.unlink()
    assert read_status(run).state == "starting"  # made this moment, config.json is about to follow
    make_older(run.path, 11)
    status = read_status(run)
    assert status.state == "unreadable"
    assert "config.json is missing" in status.reason


@pytest.mark.parametrize(
    "content",
    [
        '{"state": "runn',
        "[]",
        '{"state": "happy"}',
        '{"state": "running", "step": "12"}',
        '{"state": "running", "pid": true}',
    ],
)
def test_a_damaged_state_is_unreadable_and_says_so(run: RunFolder, content: str):
    run.state_path.write_text(content)
    status = read_status(run)
    assert status.state == "unreadable"
    assert "state.json" in status.reason


def test_unknown_values_of_a_later_version_are_ignored(run: RunFolder):
    store(run, state="finished", step=3, mood="fine", best_val_loss_nats="nan")
    status = read_status(run)
    assert (status.state, status.step, status.best_val_loss_nats) == ("finished", 3, None)


def test_a_launch_is_starting_until_the_worker_speaks(run: RunFolder):
    store(run, state="stopped", step=7)
    control.announce_launch(run)
    status = read_status(run)
    assert (status.state, status.step) == ("starting", 7)
    with pytest.raises(RunError, match="was started a moment ago"):
        control.announce_launch(run)
    make_older(run.control_path / control.LAUNCHED, 11)
    assert read_status(run).state == "orphaned"
    StateWriter(run).set("starting")
    assert read_status(run).state == "starting"


def test_a_worker_that_is_long_in_starting_is_not_given_up(run: RunFolder):
    with subprocess.Popen(["sleep", "60"]) as process:
        for path in (run.config_path, run.path):
            make_older(path, 100)
        control.announce_launch(run)
        control.note_launched_process(run, process.pid)
        make_older(run.control_path / control.LAUNCHED, 100)
        assert read_status(run).state == "starting"  # no state.json yet
        store(run, state="stopped")
        assert read_status(run).state == "starting"  # a resume
        with pytest.raises(RunError, match="was started a moment ago"):
            control.announce_launch(run)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert read_status(run).state == "orphaned", "a zombie was taken for a worker"
        run.state_path.unlink()
        assert "ended before it said anything" in read_status(run).reason
    control.announce_launch(run)
    control.note_launched_process(run, process.pid)  # gone before anybody could note it
    assert (run.control_path / control.LAUNCHED).read_text() == ""


def test_a_second_worker_that_was_refused_does_not_hide_the_first(run: RunFolder):
    with RunLock(run):
        store(run, state="running")
        control.announce_launch(run)
        make_older(run.control_path / control.LAUNCHED, 11)
        assert read_status(run).state == "running"


def test_a_new_launch_extends_the_grace_of_an_old_folder(run: RunFolder):
    make_older(run.config_path, 100)
    control.announce_launch(run)
    assert read_status(run).state == "starting"


def test_the_last_word_of_a_worker_that_ends_while_we_look_counts(run: RunFolder, monkeypatch: pytest.MonkeyPatch):
    store(run, state="running")

    def end_now(_: RunFolder) -> bool:
        store(run, state="finished")
        return False

    monkeypatch.setattr(state, "is_locked", end_now)
    assert read_status(run).state == "finished"


def test_kill_nine_is_seen_at_once(run: RunFolder, start_worker):
    worker = start_worker(run)
    assert read_status(run).state == "running"
    worker.send_signal(signal.SIGKILL)
    killed = time.monotonic()
    while read_status(run).state != "orphaned":
        assert time.monotonic() - killed < 2.0
    status = read_status(run)
    assert "killed" in status.reason and status.resumable


def test_a_worker_writes_its_whole_life(run: RunFolder):
    writer = StateWriter(run)
    writer.set("queued", max_steps=10, queued_behind="20260101000000")
    status = read_status(run)
    assert (status.queued_behind, status.max_steps, status.attempt, status.pid) == (
        "20260101000000", 10, 1, os.getpid(),
    )  # fmt: skip
    with RunLock(run):
        writer.set("starting")
        assert read_status(run).queued_behind is None
        writer.set("running")
        writer.step(3)
        writer.set("paused")
        assert (read_status(run).state, read_status(run).step) == ("paused", 3)
        writer.set("running")
        writer.update(last_checkpoint="step_00000003", best_val_loss_nats=1.5)
        writer.set("stopping")
        writer.set("stopped", "asked to")
    status = read_status(run)
    assert (status.state, status.reason, status.last_checkpoint) == ("stopped", "asked to", "step_00000003")

    again = StateWriter(run)
    assert again.attempt == 2
    again.set("starting")
    status = read_status(run)
    assert (status.attempt, status.step, status.best_val_loss_nats, status.reason) == (2, 3, 1.5, "")


@pytest.mark.parametrize(
    ("path", "match"),
    [
        (["running"], "from  to running"),
        (["starting", "running", "finished", "running"], "from finished to running"),
        (["starting", "paused"], "from starting to paused"),
        (["orphaned"], "orphaned is not a state"),
    ],
)
def test_ways_that_no_run_goes_are_our_bug(run: RunFolder, path: list[str], match: str):
    writer = StateWriter(run)
    for name in path[:-1]:
        writer.set(name)
    with pytest.raises(AssertionError, match=match):
        writer.set(path[-1])


def test_only_known_values_are_stored(run: RunFolder):
    with pytest.raises(AssertionError, match="mood"):
        StateWriter(run).set("starting", mood="fine")


def test_a_resume_over_a_damaged_state_begins_anew(run: RunFolder):
    run.state_path.write_text("{")
    StateWriter(run).set("starting")
    assert read_status(run).attempt == 1


def test_steps_and_beats_write_at_most_once_a_second(run: RunFolder, monkeypatch: pytest.MonkeyPatch):
    clock = [1000.0]
    monkeypatch.setattr(state.time, "monotonic", lambda: clock[0])
    writer = StateWriter(run)
    writer.set("starting")
    writer.set("running")

    def written_step() -> int:
        return int(json.loads(run.state_path.read_text())["step"])

    writer.step(1)
    writer.beat()
    assert written_step() == 0
    clock[0] += 1.0
    writer.step(2)
    assert written_step() == 2
    before = run.state_path.stat().st_ino
    clock[0] += 0.9
    writer.beat()
    assert run.state_path.stat().st_ino == before
    clock[0] += 0.1
    writer.beat()
    assert run.state_path.stat().st_ino != before


def test_five_median_steps_of_silence_are_allowed(run: RunFolder, monkeypatch: pytest.MonkeyPatch):
    clock = [1000.0]
    monkeypatch.setattr(state.time, "monotonic", lambda: clock[0])
    writer = StateWriter(run)
    writer.set("starting")
    writer.set("running")
    for step in range(1, 12):
        clock[0] += 500.0 if step % 5 == 0 else 10.0  # an evaluation now and then is not the pace of the run
        writer.step(step)
        writer.beat()
    assert read_status(run).stale_after_seconds == 50.0
    writer.set("paused")
    clock[0] += 10_000.0
    writer.set("running")
    writer.step(12)
    assert read_status(run).stale_after_seconds == 50.0


def test_the_first_word_takes_the_control_folder_over(run: RunFolder):
    control.request(run, "stop")  # left from an attempt that was killed
    StateWriter(run).set("starting")
    assert control.requested(run) == set()

    control.announce_launch(run)
    control.request(run, "pause")  # pressed while the new worker was starting
    StateWriter(run).set("starting")
    assert control.requested(run) == {"pause"}


def test_control_messages_come_and_go(run: RunFolder):
    assert control.requested(run) == set()
    control.request(run, "save")
    control.request(run, "save")
    control.request(run, "pause")
    (run.control_path / "nonsense").touch()
    assert control.requested(run) == {"save", "pause"}
    control.clear(run, "pause")
    control.clear(run, "pause")
    assert control.requested(run) == {"save"}
    control.clear_all(run)
    assert control.requested(run) == set()
    for call in (control.request, control.clear):
        with pytest.raises(RunError, match=r"no message '\.\./x'"):
            call(run, "../x")


def test_reading_a_status_is_cheap(run: RunFolder):
    store(run, state="running")
    start = time.process_time()
    for _ in range(200):
        read_status(run)
    assert (time.process_time() - start) / 200 < 0.005


@pytest.mark.parametrize(("epochs", "steps"), [(None, 2_000), (1.5, None)])
def test_steps_are_known_before_the_worker_counts_unless_they_are_epochs(
    run: RunFolder, epochs: float | None, steps: int | None
):
    config = json.loads(run.config_path.read_text())
    config["training"]["epochs"] = epochs
    run.config_path.write_text(json.dumps(config))
    store(run, state="queued")
    assert read_status(run).max_steps == steps
