"""Files that survive a crash: atomic replacement, JSON without NaN, and reads that nothing on the disk can surprise."""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import math
import os
import stat
import time
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any

from config.errors import RunError

# The largest JSON file we write is a tokenizer of some megabytes; anything above this is not ours.
JSON_LIMIT_BYTES = 64 * 1024 * 1024
# A temporary file that is older than this belongs to a process that died while writing it.
TEMPORARY_LIFETIME_SECONDS = 60.0

_serial = itertools.count()


def write_atomically(path: Path, content: bytes | str) -> None:
    """Replace the file at `path`: a reader, or a power cut, finds the old content or the new one, never a mixture.

    Temporary file in the same folder, flush, fsync, rename, fsync of the folder: without the first fsync a power cut
    may leave an empty file under the final name, without the second the rename itself may vanish.

    Raises:
        OSError: the disk is full, the folder is missing or read-only; the old file is untouched.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{next(_serial)}.tmp")
    try:
        _write_new_file(temporary, data)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    sync_folder(path.parent)


def _write_new_file(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o666)
    try:
        view = memoryview(data)
        while view:  # one call may write a part only, for example when the disk fills up
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    """Wait until the content of the file at `path` is on the disk."""
    _sync(path, os.O_RDONLY | os.O_NOFOLLOW)


def sync_folder(path: Path) -> None:
    """Wait until the names in the folder at `path` (creations, renames, deletions) are on the disk."""
    _sync(path, os.O_RDONLY | os.O_DIRECTORY)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems cannot sync a folder
            raise
    finally:
        os.close(descriptor)


def sweep_temporary_files(folder: Path) -> None:
    """Delete what `write_atomically` left in `folder` when its process was killed."""
    for path in folder.glob(".*.tmp"):
        with contextlib.suppress(FileNotFoundError):
            status = path.lstat()
            if stat.S_ISREG(status.st_mode) and time.time() - status.st_mtime > TEMPORARY_LIFETIME_SECONDS:
                path.unlink()


def to_json_values(value: Any) -> Any:
    """`value` with every float that JSON cannot hold as a string: `"nan"`, `"inf"`, `"-inf"`."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(float(value))
    if isinstance(value, dict):
        return {key: to_json_values(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json_values(item) for item in value]
    return value


def to_json_line(value: Any) -> str:
    """`value` as JSON on one line, without the final newline; non-finite numbers become strings."""
    try:
        return json.dumps(value, allow_nan=False, ensure_ascii=False)
    except ValueError:
        return json.dumps(to_json_values(value), allow_nan=False, ensure_ascii=False)


def write_json(path: Path, value: Any) -> None:
    """Write `value` to `path` atomically as indented JSON; non-finite numbers become strings.

    Raises:
        OSError: as `write_atomically`.
    """
    write_atomically(path, json.dumps(to_json_values(value), allow_nan=False, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """The value in the JSON file at `path`.

    Raises:
        RunError: the file is missing, is not a regular file, is too large or is not strict JSON (NaN, numbers that
            overflow, duplicate keys and extreme nesting are refused: two readers would disagree about them).
    """
    name = f"{path.parent.name}/{path.name}"
    try:
        with open_regular(path) as file:
            raw = file.read(JSON_LIMIT_BYTES + 1)
    except FileNotFoundError:
        raise RunError(f"{name} does not exist.") from None
    except OSError as error:
        raise RunError(f"{name} cannot be read: {error.strerror or error}.") from None
    if len(raw) > JSON_LIMIT_BYTES:
        raise RunError(f"{name} is larger than {JSON_LIMIT_BYTES} bytes, which no file of a run is.")
    return parse_json(raw, name)


def parse_json(raw: bytes, name: str) -> Any:
    """The value of strict JSON; `name` says in the error which file it is from.

    Raises:
        RunError: it is not strict JSON, as `read_json`.
    """
    try:
        return json.loads(
            raw, object_pairs_hook=_unique_keys, parse_constant=_refuse_constant, parse_float=_finite_float
        )
    except RecursionError:
        raise RunError(f"{name} is not a file of this program: it is nested too deeply.") from None
    except ValueError as error:
        raise RunError(f"{name} is damaged: it is not valid JSON ({error}).") from None


@contextlib.contextmanager
def open_regular(path: Path) -> Iterator[BufferedReader]:
    """The regular file at `path`, open for reading bytes; symbolic links, pipes and devices are refused.

    Raises:
        FileNotFoundError: there is no such file.
        OSError: it is not a regular file (a link could lead out of the run, a pipe would block the page for ever).
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", str(path))
        yield file


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key appears twice")
    return result


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is not a JSON number")


def _finite_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is too large a number")
    return number
