"""Starting, resuming and killing the process that trains a run. It lives on when the page that started it does not."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil

from config.errors import RunError
from runs import control
from runs.folder import RunFolder
from runs.lock import RunLock, is_locked
from runs.machine import find_process
from runs.state import RunStatus, read_status

TRAIN = Path(__file__).resolve().parent.parent / "train.py"
KILL_AFTER_SECONDS = 10.0


def launch(run: RunFolder, script: Path = TRAIN) -> subprocess.Popen[bytes]:
    """Start the worker of `run` in a process session of its own and return at once.

    The new session keeps Ctrl-C in the server's terminal away from it, the closed descriptors the server's port: the
    server can be stopped, killed and started again while the run goes on. What it prints goes to log.txt.

    Raises:
        RunError: a worker was started a moment ago.
        OSError: the process cannot be started, or the log not be written.
    """
    control.announce_launch(run)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        log = os.open(run.log_path, flags, 0o666)
        try:
            process = subprocess.Popen(
                [sys.executable, str(script), "--run", str(run.path)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                close_fds=True,
            )
        finally:
            os.close(log)
    except BaseException:
        control.withdraw_launch(run)
        raise
    control.note_launched_process(run, process.pid)
    # A dead child stays as a zombie until somebody asks for its status; the thread does nothing but ask.
    threading.Thread(target=process.wait, name=f"reap {run.id}", daemon=True).start()
    return process


def resume(run: RunFolder, script: Path = TRAIN) -> subprocess.Popen[bytes]:
    """Start a new worker for a run that stopped, failed or lost its worker.

    Waits up to 5 s for the lock: "stopped" can be read a second before the old worker is gone.

    Raises:
        RunError: the run is alive or finished, or another process holds its lock.
    """
    status = read_status(run)
    if status.live:
        raise RunError(f"Run {run.id} is {status.state}: only a run that has ended can be resumed.")
    if status.state == "finished":
        raise RunError(f"Run {run.id} is finished after {status.step} steps: there is nothing to resume.")
    with RunLock(run):  # free now; the worker takes it itself
        pass
    return launch(run, script)


def find_worker(status: RunStatus) -> psutil.Process | None:
    """The live process that wrote `status`, or None: a pid alone may long belong to another process."""
    if status.pid is None or status.process_created is None:
        return None
    return find_process(status.pid, status.process_created)


def terminate(run: RunFolder, kill_after_seconds: float = KILL_AFTER_SECONDS) -> None:
    """End the worker of `run`: SIGTERM (it saves and stops), and SIGKILL when it is still there after 10 s.

    Returns when it is gone. The way to end a run is `control.request(run, "stop")`; this is for one that does not
    listen.

    Raises:
        RunError: there is no live worker whose pid and start time match.
    """
    status = read_status(run)
    process = find_worker(status)
    if process is None or not is_locked(run):
        raise RunError(f"Run {run.id} has no live worker to end.")
    with contextlib.suppress(psutil.NoSuchProcess):
        process.terminate()
        if not _wait_until_gone(status, kill_after_seconds):
            process.kill()
            if not _wait_until_gone(status, kill_after_seconds):
                raise RunError(f"The worker of run {run.id} (process {status.pid}) does not end: the system holds it.")


def _wait_until_gone(status: RunStatus, timeout_seconds: float) -> bool:
    deadline = time.monotonic() + timeout_seconds
    while find_worker(status) is not None:
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.02)
    return True
