"""Texts that a person brings: kept on disk under the hash of their content, never under the name they came with."""

import hashlib
from pathlib import Path

from config.errors import TextError
from runs.files import write_atomically

FOLDER = ".uploads"  # beside the runs


def store(content: bytes, checkpoints: Path, suffix: str = ".txt") -> Path:
    """Put an uploaded text where the worker can read it; the same content is the same file.

    Args:
        suffix: what the name ends with, for texts that are read by their kind.

    Raises:
        TextError: it is empty, or there is no room for it.
    """
    if not content.strip():
        raise TextError("the uploaded file is empty: choose one with text in it")
    path = checkpoints / FOLDER / f"{hashlib.sha256(content).hexdigest()}{suffix}"
    if not path.exists():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, content)
        except OSError as error:
            raise TextError(f"the uploaded file cannot be stored: {error.strerror or error}") from error
    return path


def replace_unreadable(path: Path, checkpoints: Path) -> Path:
    """The same text with every byte that is not UTF-8 replaced by �, as a new upload."""
    return store(path.read_bytes().decode("utf-8", errors="replace").encode(), checkpoints)
