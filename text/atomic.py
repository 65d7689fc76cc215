"""Writing files so that a reader sees all of a file or none of it, and a crash loses neither the old nor the new."""

import errno
import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from config.errors import TextError


@contextmanager
def hold_alone(path: Path, otherwise: str) -> Iterator[None]:
    """Hold a folder, or a file that is made if needed; the kernel frees it when this process ends, however it ends.

    Args:
        otherwise: What to say when another process holds it.

    Raises:
        TextError: another process holds it.
    """
    descriptor = os.open(path, os.O_RDONLY) if path.is_dir() else os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TextError(otherwise) from None
        yield
    finally:
        os.close(descriptor)


@contextmanager
def explain_writing(folder: Path, again: str) -> Iterator[None]:
    """Say in one sentence why nothing can be written into `folder`, such as a full disk.

    Args:
        again: What to do when there is room on the disk.

    Raises:
        TextError: the system refuses to write.
    """
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        reason = f"the disk is full; make room and {again}" if full else f"{error.strerror}; choose another folder"
        raise TextError(f"{folder} cannot be written: {reason}") from error


def write_atomically(path: Path, content: bytes) -> None:
    """Put `content` into `path`: temporary file in the same folder, fsync, rename, fsync of the folder."""
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # mkstemp makes files that only their owner may read
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` survive a power cut (a rename alone may be lost)."""
    if os.name == "nt":  # Windows cannot open a folder for fsync
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
