"""tokenizer.json of a saved tokenizer: plain data with a hash of its content, so that damage is noticed."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from config.errors import CheckpointError
from text.atomic import write_atomically

FILE_NAME = "tokenizer.json"
FORMAT = 1
MAX_FILE_BYTES = 200_000_000


def hash_record(record: Mapping[str, Any]) -> str:
    """SHA-256 of plain values, the same for equal ones on every machine."""
    canonical = json.dumps(record, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def write_record(folder: Path, record: Mapping[str, Any]) -> None:
    """Put `record` into tokenizer.json, with its hash."""
    content = json.dumps({**record, "content_hash": hash_record(record)}, ensure_ascii=False, indent=1)
    write_atomically(folder / FILE_NAME, (content + "\n").encode())


def read_record(folder: Path) -> dict[str, Any]:
    """What `write_record` wrote, compared with its hash.

    Raises:
        CheckpointError: there is no tokenizer.json, or it is damaged or of another version.
    """
    path = folder / FILE_NAME
    try:
        too_large = path.stat().st_size > MAX_FILE_BYTES
        content = b"" if too_large else path.read_bytes()
    except FileNotFoundError:
        raise CheckpointError(f"{folder} holds no tokenizer: there is no {FILE_NAME} in it") from None
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error
    if too_large:
        raise CheckpointError(f"{path} is damaged: it is larger than {MAX_FILE_BYTES:,} bytes")
    try:
        record = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # also a number of 5,000 digits, which is JSON
        raise CheckpointError(f"{path} is damaged: it is not JSON ({error})") from error
    if not isinstance(record, dict) or not isinstance(record.get("type"), str):
        raise CheckpointError(f"{path} is damaged: it names no tokenizer type")
    if record.get("format") != FORMAT:
        raise CheckpointError(f"{path} has format {record.get('format')!r}; this version reads format {FORMAT}")
    expected = record.pop("content_hash", None)
    if hash_record(record) != expected:
        raise CheckpointError(f"{path} is damaged: its content does not match its content_hash")
    return record
