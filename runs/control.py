"""Messages to a worker: a file's presence in `control/` is the message, written by a page or the command line."""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING

from config.errors import RunError

if TYPE_CHECKING:
    from runs.folder import RunFolder

REQUESTS = ("stop", "pause", "save")
# Written by the launcher when it starts a worker, taken away by the worker's first word: it bridges the seconds in
# which Python is importing torch and nothing else on the disk tells that somebody pressed Start.
LAUNCHED = "launched"


def request(run: RunFolder, message: str) -> None:
    """Ask the worker of `run` to "stop" (save and end), to "pause" (until `clear(run, "pause")`) or to "save".

    Raises:
        RunError: there is no such message.
    """
    if message not in REQUESTS:
        raise RunError(f"There is no message {message!r} to a run; there are {', '.join(REQUESTS)}.")
    _write(run, message)


def clear(run: RunFolder, message: str) -> None:
    """Take the message back, or take it as done; nothing happens when it is not there.

    Raises:
        RunError: there is no such message.
    """
    if message not in REQUESTS:
        raise RunError(f"There is no message {message!r} to a run; there are {', '.join(REQUESTS)}.")
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


def announce_launch(run: RunFolder, grace_seconds: float) -> None:
    """Clear the messages and note that a worker is being started now.

    Raises:
        RunError: another launcher did the same less than `grace_seconds` ago (two tabs, one click each).
    """
    run.control_path.mkdir(exist_ok=True)
    path = run.control_path / LAUNCHED
    age = launch_age(run)
    if age is not None and age >= grace_seconds:  # that worker never came to life
        path.unlink(missing_ok=True)
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666))
    except FileExistsError:
        raise RunError(f"Run {run.id} was started a moment ago.") from None
    clear_all(run)


def withdraw_launch(run: RunFolder) -> None:
    """Take `announce_launch` back, because the worker could not be started."""
    (run.control_path / LAUNCHED).unlink(missing_ok=True)


def launch_age(run: RunFolder) -> float | None:
    """Seconds since a worker was started that has not spoken yet, or None when there is none."""
    with contextlib.suppress(OSError):
        return max(0.0, time.time() - os.stat(run.control_path / LAUNCHED, follow_symlinks=False).st_mtime)
    return None


def take_over(run: RunFolder) -> None:
    """Begin an attempt: the worker calls it once (through its first `StateWriter.set`).

    A launcher has cleared the folder before it started the worker, so a message that is there now was meant for this
    attempt and stays. A worker that was started by hand clears what the last attempt left.
    """
    try:
        (run.control_path / LAUNCHED).unlink()
    except FileNotFoundError:
        clear_all(run)


def _write(run: RunFolder, name: str) -> None:
    run.control_path.mkdir(exist_ok=True)
    os.close(os.open(run.control_path / name, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o666))
