"""Who is alive: the lock that a worker holds for its whole life, and the slot that lets one run train at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from config.errors import RunError

if TYPE_CHECKING:
    from runs.folder import RunFolder

# A reader that looks whether a run is alive holds the lock for some microseconds, and a worker that ended keeps it for
# up to 1.1 s after its last word: who takes a lock tries again for this long.
ACQUIRE_SECONDS = 5.0
_RETRY_SECONDS = 0.02
_NAME_LIMIT_BYTES = 128
SLOT = ".slot0"


class RunLock:
    """The exclusive lock of one run. The kernel frees it when its process ends, however that happens.

    It is `flock`, not a file with a pid in it: nothing is left behind by `kill -9` and no pid can be mistaken. A child
    that is forked without exec would keep it, so a worker must not fork (starting programs is safe).
    """

    def __init__(self, run: RunFolder) -> None:
        self._path = run.lock_path
        self._descriptor: int | None = None

    def acquire(self, timeout_seconds: float = ACQUIRE_SECONDS) -> None:
        """Take the lock, waiting up to `timeout_seconds` for it.

        Raises:
            RunError: another process holds it, or the run was deleted.
        """
        deadline = time.monotonic() + timeout_seconds
        while self._descriptor is None:
            try:
                self._descriptor = _try_lock(self._path)
            except FileNotFoundError:
                raise RunError(f"Run {self._path.parent.name} does not exist any more.") from None
            if self._descriptor is None:
                if time.monotonic() >= deadline:
                    raise RunError(f"Run {self._path.parent.name} is already being trained by another process.")
                time.sleep(_RETRY_SECONDS)

    def release(self) -> None:
        """Free the lock; nothing happens when it is not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> RunLock:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class Slot:
    """The right to train, as `wait_for_slot` returned it; given back by `release` or by the end of the process."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        """Give the slot back; nothing happens the second time."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None


@contextlib.contextmanager
def hold_alone(path: Path) -> Iterator[None]:
    """Let one process at a time do something short, which all of them guard with the same file."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def is_locked(run: RunFolder) -> bool:
    """Whether a process holds the lock of `run`: the one truth about "alive"."""
    return _is_locked(run.lock_path)


def wait_for_slot(
    checkpoints: Path,
    on_wait: Callable[[str | None], None],
    *,
    run_id: str = "",
    poll_seconds: float = 0.5,
) -> Slot:
    """Wait until the place to train is free, first come first served, and take it.

    No daemon hands the place out: it is a file that its holder locks, `checkpoints/.slot0`, with the holder's run id in
    it. Who waits holds a locked ticket in `checkpoints/.queue`; a ticket whose lock is free belongs to a dead process
    and is swept by whoever meets it.

    Args:
        on_wait: called every `poll_seconds` while waiting, with the id of the run that is next in front (None when it
            is not known). It should write the heartbeat, and it may raise to leave the queue.
        run_id: what the others are told they wait for.
    """
    with _Ticket(checkpoints / ".queue", run_id) as ticket:
        while True:
            ahead = ticket.find_ahead()
            if ahead is None:
                descriptor = _try_lock(checkpoints / SLOT)
                if descriptor is not None:
                    _write_name(descriptor, run_id)
                    return Slot(descriptor)
                ahead = _read_name(checkpoints / SLOT)
            on_wait(ahead or None)
            time.sleep(poll_seconds)


class _Ticket:
    """A place in the queue: a locked file whose name sorts by the time of arrival."""

    def __init__(self, queue: Path, run_id: str) -> None:
        self._queue = queue
        self._name = f"{time.time_ns():020d}-{os.getpid()}"
        self._run_id = run_id

    def __enter__(self) -> _Ticket:
        self._queue.mkdir(exist_ok=True)
        # Locked first, named after: a ticket that can be seen unlocked would be swept as a dead one.
        unnamed = self._queue / f"{self._name}.tmp"
        descriptor = _try_lock(unnamed)
        assert descriptor is not None, f"two processes made the ticket {unnamed.name}"
        self._descriptor = descriptor
        _write_name(descriptor, self._run_id)
        unnamed.rename(self._queue / self._name)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        (self._queue / self._name).unlink(missing_ok=True)
        os.close(self._descriptor)

    def find_ahead(self) -> str | None:
        """The run id on the last ticket before this one, or None when this one is the first."""
        ahead = [name for name in os.listdir(self._queue) if name < self._name and not name.endswith(".tmp")]
        for name in sorted(ahead, reverse=True):
            path = self._queue / name
            if _is_locked(path):
                return _read_name(path)
            path.unlink(missing_ok=True)
        return None


def _try_lock(path: Path) -> int | None:
    """A descriptor that holds the lock on `path`, or None when another process has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The file may have been deleted between opening and locking; the lock on a nameless file protects nothing.
        if os.path.samestat(os.fstat(descriptor), os.stat(path, follow_symlinks=False)):
            return descriptor
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _is_locked(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        # A shared lock: any number of readers may look at the same time without taking one another for the worker.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _write_name(descriptor: int, run_id: str) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, run_id.encode()[:_NAME_LIMIT_BYTES], 0)


def _read_name(path: Path) -> str:
    with contextlib.suppress(OSError), open(path, "rb") as file:
        return file.read(_NAME_LIMIT_BYTES).decode("utf-8", errors="replace")
    return ""
