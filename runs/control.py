"""Messages to a worker: a file's presence in `control/` is the message, written by a page or the command line."""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING

import psutil

from config.errors import RunError
from runs.files import open_regular
from runs.machine import find_process

if TYPE_CHECKING:
    from runs.folder import RunFolder

REQUESTS = ("stop", "pause", "save")
# Written by the launcher when it starts a worker, taken away by the worker's first word: it bridges the seconds in
# which Python is importing torch and nothing else on the disk tells that somebody pressed Start.
LAUNCHED = "launched"
GRACE_SECONDS = 10.0


def request(run: RunFolder, message: str) -> None:
    """Ask the worker of `run` to "stop" (save and end), to "pause" (until `clear(run, "pause")`) or to "save".

    Raises:
        RunError: there is no such message.
    """
    _check(message)
    run.control_path.mkdir(exist_ok=True)
    os.close(os.open(run.control_path / message, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o666))


def clear(run: RunFolder, message: str) -> None:
    """Take the message back, or take it as done; nothing happens when it is not there.

    Raises:
        RunError: there is no such message.
    """
    _check(message)
    (run.control_path / message).unlink(missing_ok=True)


def requested(run: RunFolder) -> set[str]:
    """The messages that wait for the worker. Cheap enough for every step (about 10 µs)."""
    try:
        return {name for name in os.listdir(run.control_path) if name in REQUESTS}
    except FileNotFoundError:
        return set()


def clear_all(run: RunFolder) -> None:
    """Remove every message: one that was left from an earlier attempt would stop the new one at once."""
    for message in REQUESTS:
        (run.control_path / message).unlink(missing_ok=True)


def announce_launch(run: RunFolder) -> None:
    """Clear the messages and note that a worker is being started now.

    Raises:
        RunError: another one is on its way already (two tabs, one click each).
    """
    run.control_path.mkdir(exist_ok=True)
    path = run.control_path / LAUNCHED
    if is_launch_alive(run) is False:
        path.unlink(missing_ok=True)
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666))
    except FileExistsError:
        raise RunError(f"Run {run.id} was started a moment ago.") from None
    clear_all(run)


def note_launched_process(run: RunFolder, pid: int) -> None:
    """Add to the announcement which process it is; nothing happens when that has spoken already."""
    with contextlib.suppress(FileNotFoundError, psutil.NoSuchProcess):
        created = psutil.Process(pid).create_time()
        descriptor = os.open(run.control_path / LAUNCHED, os.O_WRONLY | os.O_NOFOLLOW)
        try:
            os.write(descriptor, f"{pid} {created}".encode())
        finally:
            os.close(descriptor)


def withdraw_launch(run: RunFolder) -> None:
    """Take `announce_launch` back, because the worker could not be started."""
    (run.control_path / LAUNCHED).unlink(missing_ok=True)


def is_launch_alive(run: RunFolder) -> bool | None:
    """Whether a worker that was started and has not spoken yet is on its way; None when none was started.

    It may take its time (importing torch on a busy machine takes more than 10 s), and it may end at once (a broken
    installation): its process tells. As long as that is not noted, 10 s of grace do.
    """
    try:
        with open_regular(run.control_path / LAUNCHED) as file:
            words = file.read(64).decode("ascii", errors="replace").split()
            age = time.time() - os.fstat(file.fileno()).st_mtime
    except OSError:
        return None
    try:
        pid, created = int(words[0]), float(words[1])
    except (ValueError, IndexError):
        return age <= GRACE_SECONDS
    return find_process(pid, created) is not None


def take_over(run: RunFolder) -> None:
    """Begin an attempt: the worker calls it once (through its first `StateWriter.set`).

    A launcher has cleared the folder before it started the worker, so a message that is there now was meant for this
    attempt and stays. A worker that was started by hand clears what the last attempt left.
    """
    try:
        (run.control_path / LAUNCHED).unlink()
    except FileNotFoundError:
        clear_all(run)


def _check(message: str) -> None:
    if message not in REQUESTS:
        raise RunError(f"There is no message {message!r} to a run; there are {', '.join(REQUESTS)}.")
