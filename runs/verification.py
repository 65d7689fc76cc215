"""Whether a checkpoint folder is what its writer published: commit record, sizes and hashes. Nothing is interpreted."""

from __future__ import annotations

import hashlib
import math
import os
import re
import stat
import threading
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any

from config.errors import RunError
from runs.files import open_regular, read_json

WEIGHTS = "model.safetensors"
COMMIT = "commit.json"
STEP_FOLDER = re.compile(r"step_(\d{8,12})", re.ASCII)
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", re.ASCII)
_HASH = re.compile(r"[0-9a-f]{64}")
_FILES_LIMIT = 1_000
# How a pickle begins: a zip archive (torch.save), or the protocol mark of a bare one.
_PICKLE_MARKS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")

_CACHE_LIMIT = 4_096
# A file that is this young could be written again without its times changing: its hash is not remembered yet.
_SETTLED_NS = 2_000_000_000
_hashes: OrderedDict[tuple[str, int, int, int, int], str] = OrderedDict()
_hashes_lock = threading.Lock()


def verify(path: Path, *, hash_files: bool = True) -> str | None:
    """What is wrong with the checkpoint folder at `path`, in one sentence, or None when it can be trusted.

    The hash is not optional for whoever loads: 99.5 % of single-bit flips in a safetensors file load without any error
    and give wrong weights. A hash is remembered until its file changes. `hash_files=False` checks sizes only.
    """
    try:
        weights_problem = _find_weights_problem(path / WEIGHTS)
        if weights_problem:
            return weights_problem
        record = read_commit(path)
    except RunError as error:
        return str(error)
    except OSError as error:
        return f"It cannot be read: {error.strerror or error}."
    match = STEP_FOLDER.fullmatch(path.name)
    if match and record["step"] != int(match[1]):
        return f"Its commit record is of step {record['step']}: it was renamed, or files were exchanged."
    for name, expected in record["files"].items():
        problem = _find_file_problem(path / name, expected, hash_files)
        if problem:
            return problem
    return None


def read_commit(path: Path) -> dict[str, Any]:
    """The commit record of the checkpoint folder at `path`: step, files, val_loss_nats.

    Raises:
        RunError: there is none, or it is not one.
    """
    if not os.path.lexists(path / COMMIT):
        raise RunError(f"It has no {COMMIT}: its writing was never finished.")
    record = read_json(path / COMMIT)
    if not _is_commit(record):
        raise RunError(f"Its {COMMIT} is damaged: it does not list step and files with their size and hash.")
    if WEIGHTS not in record["files"]:
        raise RunError(f"It has no weights: {WEIGHTS} is not in its {COMMIT}.")
    return dict(record)


def _is_commit(record: Any) -> bool:
    if not isinstance(record, dict) or type(record.get("step")) is not int or record["step"] < 0:
        return False
    files = record.get("files")
    return (
        isinstance(files, dict)
        and len(files) <= _FILES_LIMIT
        and all(
            _FILE_NAME.fullmatch(name)
            and isinstance(expected, dict)
            and type(expected.get("bytes")) is int
            and isinstance(expected.get("sha256"), str)
            and _HASH.fullmatch(expected["sha256"])
            for name, expected in files.items()
        )
    )


def read_val_loss(path: Path) -> float | None:
    """Validation loss in nats that the commit record gives, or None when it gives none that is a finite number."""
    try:
        value = read_commit(path).get("val_loss_nats")
    except (RunError, OSError):
        return None
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def describe_stranger(path: Path) -> str:
    """Why the file at `path` is not a checkpoint, in a sentence. Its first bytes are looked at, nothing is executed."""
    try:
        with open_regular(path) as file:
            start = file.read(16)
    except OSError as error:
        return f"{path} is not a checkpoint: {error.strerror or error}."
    if start.startswith(_PICKLE_MARKS) or path.suffix in (".pt", ".pth", ".pkl", ".pickle", ".bin", ".ckpt"):
        return (
            f"{path} is a pickle, which can run code when it is loaded: it was not opened. Name a run folder instead."
        )
    return f"{path} is not a checkpoint: name a run folder, or a step_… folder in one."


def _find_weights_problem(path: Path) -> str | None:
    """A file can match its hash and still be no weights: a safetensors file begins with its header's length and {."""
    try:
        with open_regular(path) as file:
            start = file.read(9)
            size = os.fstat(file.fileno()).st_size
    except FileNotFoundError:
        return f"It has no weights: {WEIGHTS} is missing."
    if start.startswith(_PICKLE_MARKS) and start[8:9] != b"{":
        return f"Its {WEIGHTS} is a pickle under a false name; it was not opened."
    if start[8:9] != b"{" or int.from_bytes(start[:8], "little") > size - 8:
        return f"Its {WEIGHTS} is no safetensors file, or was cut off ({size} bytes)."
    return None


def _find_file_problem(path: Path, expected: dict[str, Any], hash_files: bool) -> str | None:
    try:
        with open_regular(path) as file:
            status = os.fstat(file.fileno())
            if status.st_size < expected["bytes"]:
                return f"Its {path.name} was cut off: {status.st_size} of {expected['bytes']} bytes are there."
            if status.st_size > expected["bytes"]:
                return f"Its {path.name} has {status.st_size} bytes instead of {expected['bytes']}: it was exchanged."
            if hash_files and _hash_of(path, status) != expected["sha256"]:
                return f"Its {path.name} is damaged: the content does not match the hash in {COMMIT}."
    except FileNotFoundError:
        return f"Its {path.name} is missing."
    except OSError as error:
        return f"Its {path.name} cannot be read: {error.strerror or error}."
    return None


def _hash_of(path: Path, status: os.stat_result) -> str:
    """SHA-256 of a file, remembered by path, both times, inode and size: the times alone can be set back."""
    key = (str(path.absolute()), status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_size)
    with _hashes_lock:
        if key in _hashes:
            _hashes.move_to_end(key)
            return _hashes[key]
    digest = hash_file(path)
    if time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns) > _SETTLED_NS:
        with _hashes_lock:
            _hashes[key] = digest
            while len(_hashes) > _CACHE_LIMIT:
                _hashes.popitem(last=False)
    return digest


def hash_file(path: Path) -> str:
    """SHA-256 of the regular file at `path`, in hexadecimal."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_plain_folder(path: Path) -> bool:
    """Whether `path` is a folder itself, not a link to one."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False
