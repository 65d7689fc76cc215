"""A worker lives on its own: it outlives its launcher, is never taken for another process and leaves no zombie."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from config.errors import RunError
from runs import control, launch
from runs.folder import RunFolder
from runs.lock import is_locked
from runs.state import RunStatus, StateWriter, read_status

WORKER = Path(__file__).with_name("dummy_worker.py")
ROOT = Path(__file__).resolve().parents[2]


def test_the_worker_is_started_with_exactly_these_flags(run: RunFolder, monkeypatch: pytest.MonkeyPatch):
    seen: dict[str, Any] = {}

    class FakePopen:
        def __init__(self, command: list[str], **options: Any) -> None:
            log = options.pop("stdout")
            self.pid = os.getpid()
            seen.update(options, command=command, log=os.readlink(f"/proc/self/fd/{log}"))

        def wait(self) -> int:
            return 0

    monkeypatch.setattr(launch.subprocess, "Popen", FakePopen)
    launch.launch(run)
    assert seen == {
        "command": [sys.executable, str(ROOT / "train.py"), "--run", str(run.path)],
        "log": str(run.log_path),
        "stdin": subprocess.DEVNULL,
        "stderr": subprocess.STDOUT,
        "start_new_session": True,
        "close_fds": True,
    }


def test_a_launched_worker_trains_in_its_own_session_and_leaves_no_zombie(run: RunFolder, wait_until):
    run.log_path.write_text("earlier attempt\n")
    process = launch.launch(run, WORKER)
    wait_until(lambda: read_status(run).state == "running")
    assert os.getsid(process.pid) == process.pid != os.getsid(0)
    assert read_status(run).pid == process.pid
    control.request(run, "stop")
    wait_until(lambda: read_status(run).state == "stopped")
    wait_until(lambda: not psutil.pid_exists(process.pid))
    assert process.poll() == 0
    assert run.log_path.read_text() == "earlier attempt\nqueued\nrunning\n"


def test_the_worker_holds_none_of_the_launchers_files(run: RunFolder, wait_until, tmp_path: Path):
    with open(tmp_path / "port 8501", "w") as file:
        os.set_inheritable(file.fileno(), True)  # as streamlit does with its socket
        process = launch.launch(run, WORKER)
        wait_until(lambda: read_status(run).state == "running")
        held = {os.path.realpath(link) for link in Path(f"/proc/{process.pid}/fd").iterdir()}
    assert str(tmp_path / "port 8501") not in held
    assert os.readlink(f"/proc/{process.pid}/fd/0") == "/dev/null"
    launch.terminate(run)


def test_the_run_outlives_a_killed_launcher(run: RunFolder, wait_until):
    code = (
        f"import sys, time; sys.path.insert(0, {str(ROOT)!r})\n"
        f"from pathlib import Path; from runs.folder import RunFolder; from runs.launch import launch\n"
        f"launch(RunFolder(Path({str(run.path)!r})), Path({str(WORKER)!r})); time.sleep(60)"
    )
    server = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    wait_until(lambda: read_status(run).state == "running")
    os.killpg(server.pid, signal.SIGINT)  # Ctrl-C reaches the whole group in the terminal
    os.killpg(server.pid, signal.SIGKILL)
    server.wait()
    step = read_status(run).step
    wait_until(lambda: read_status(run).step > step)
    assert read_status(run).state == "running"
    launch.terminate(run)
    assert read_status(run).state == "stopped"


def test_two_clicks_start_one_worker(run: RunFolder, wait_until):
    launch.launch(run, WORKER)
    with pytest.raises(RunError, match="was started a moment ago"):
        launch.launch(run, WORKER)
    with pytest.raises(RunError, match="only a run that has ended"):
        launch.resume(run, WORKER)
    wait_until(lambda: read_status(run).state == "running")
    launch.terminate(run)


def test_a_worker_that_dies_at_birth_is_seen_at_once(run: RunFolder, wait_until, tmp_path: Path):
    script = tmp_path / "train.py"
    script.write_text("import nothing_of_this_name")
    launch.launch(run, script)
    wait_until(lambda: read_status(run).state == "orphaned")
    assert "see the log" in read_status(run).reason
    assert "nothing_of_this_name" in run.log_path.read_text()


def test_a_launch_that_failed_does_not_look_like_one(run: RunFolder):
    StateWriter(run).set("failed")
    run.log_path.symlink_to("/dev/null")
    with pytest.raises(OSError, match="symbolic link"):
        launch.launch(run, WORKER)
    assert read_status(run).state == "failed"


def test_a_worker_that_never_spoke_does_not_bar_the_next(run: RunFolder, wait_until):
    control.announce_launch(run)
    past = time.time() - 11
    os.utime(run.control_path / control.LAUNCHED, (past, past))
    os.utime(run.config_path, (past, past))
    assert read_status(run).state == "orphaned"
    launch.resume(run, WORKER)
    wait_until(lambda: read_status(run).state == "running")
    launch.terminate(run)


def test_resume_clears_old_messages_and_counts_the_attempt(run: RunFolder, start_worker, wait_until):
    start_worker(run).send_signal(signal.SIGKILL)
    wait_until(lambda: read_status(run).state == "orphaned")
    control.request(run, "stop")
    control.request(run, "pause")
    launch.resume(run, WORKER)
    wait_until(lambda: read_status(run).state == "running")
    assert read_status(run).attempt == 2 and control.requested(run) == set()
    with pytest.raises(RunError, match="is running: only a run that has ended"):
        launch.resume(run, WORKER)
    launch.terminate(run)


def test_a_finished_run_is_not_resumed(run: RunFolder):
    StateWriter(run).set("finished", step=10)
    with pytest.raises(RunError, match="is finished after 10 steps"):
        launch.resume(run, WORKER)


def test_terminate_saves_when_the_worker_listens(run: RunFolder, start_worker):
    worker = start_worker(run)
    launch.terminate(run)
    assert worker.wait() == 0 and read_status(run).state == "stopped" and not is_locked(run)
    with pytest.raises(RunError, match="has no live worker"):
        launch.terminate(run)


def test_terminate_kills_what_does_not_listen(run: RunFolder, start_worker):
    worker = start_worker(run, "running", "--ignore-signals")
    launch.terminate(run, kill_after_seconds=0.2)
    assert worker.wait() == -signal.SIGKILL and read_status(run).state == "orphaned"


def test_terminate_kills_what_is_suspended(run: RunFolder, start_worker):
    worker = start_worker(run)
    worker.send_signal(signal.SIGSTOP)
    launch.terminate(run, kill_after_seconds=0.2)
    assert worker.wait() == -signal.SIGKILL


def test_a_process_that_does_not_die_is_said(run: RunFolder, start_worker, monkeypatch: pytest.MonkeyPatch):
    start_worker(run, "running", "--ignore-signals")
    monkeypatch.setattr(psutil.Process, "kill", psutil.Process.status)
    with pytest.raises(RunError, match="does not end"):
        launch.terminate(run, kill_after_seconds=0.1)


def test_a_pid_alone_is_no_identity(run: RunFolder, start_worker):
    worker = start_worker(run)
    created = psutil.Process(worker.pid).create_time()
    right = RunStatus(state="running", pid=worker.pid, process_created=created)
    assert launch.find_worker(right) is not None
    for pid, when in ((worker.pid, created - 60), (worker.pid, None), (None, created), (2**22 + 1, created)):
        assert launch.find_worker(RunStatus(state="running", pid=pid, process_created=when)) is None
    run.state_path.write_text(run.state_path.read_text().replace('"process_created": ', '"process_created": 1'))
    with pytest.raises(RunError, match="has no live worker"):
        launch.terminate(run)
    assert worker.poll() is None


def test_a_zombie_is_dead(run: RunFolder, start_worker):
    worker = start_worker(run)
    status = read_status(run)
    os.kill(worker.pid, signal.SIGKILL)
    os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOWAIT)  # dead, and not reaped: `kill -0` says alive
    os.kill(worker.pid, 0)
    assert launch.find_worker(status) is None
    assert read_status(run).state == "orphaned"
