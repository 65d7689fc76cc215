"""Following a file of JSON lines that another process appends to, cuts and replaces."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any

from runs.files import open_regular

REFRESH_SECONDS = 0.5
_CHUNK_BYTES = 1 << 20
_LINE_LIMIT_BYTES = 1 << 20
_FINGERPRINT_BYTES = 256
_WORDS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


class LineFollower:
    """Gives every complete line of a growing file once, by byte offset. Not thread-safe: its owner locks.

    A torn last line waits until it is complete. A file that shrank or became another one is read from its start again.
    """

    def __init__(self, path: Path, refresh_seconds: float) -> None:
        self._path = path
        self._refresh_seconds = refresh_seconds
        self._last_refresh_time = -math.inf
        self._restart()

    def _restart(self) -> None:
        self._offset = 0
        self._inode = 0
        self._fingerprint = b""

    def read(self, force: bool, on_restart: Callable[[], None], on_rows: Callable[[list[Any]], None]) -> bool:
        """Hand the new JSON objects to `on_rows`, in groups; True when there were any or the file started anew.

        Unless `force` is set, calls that follow within `refresh_seconds` do not look at the file.
        """
        now = time.monotonic()
        if not force and now - self._last_refresh_time < self._refresh_seconds:
            return False
        self._last_refresh_time = now
        changed = False
        try:
            with open_regular(self._path) as file:
                if self._is_other_file(file):
                    changed = True
                    self._restart()
                    on_restart()
                self._inode = os.fstat(file.fileno()).st_ino
                for lines in self._read_groups(file):
                    changed = True
                    on_rows(parse_lines(lines))
        except OSError:  # not written yet, or the run was deleted
            if self._offset > 0:
                changed = True
                self._restart()
                on_restart()
        return changed

    def _is_other_file(self, file: BufferedReader) -> bool:
        """Whether what was read before is not in the file any more.

        The size does not tell: a resume cuts the file and may have written past the old end before anybody
        looked. So the last bytes that were read are compared.
        """
        if self._offset == 0:
            return False
        if os.fstat(file.fileno()).st_ino != self._inode:
            return True
        file.seek(self._offset - len(self._fingerprint))
        return file.read(len(self._fingerprint)) != self._fingerprint

    def _read_groups(self, file: BufferedReader) -> Iterator[list[bytes]]:
        file.seek(self._offset)
        rest = b""
        while chunk := file.read(_CHUNK_BYTES):
            data = rest + chunk
            cut = data.rfind(b"\n") + 1
            rest = data[cut:]
            if cut:
                self._advance(data[:cut])
                yield data[:cut].split(b"\n")[:-1]
            if len(rest) > _LINE_LIMIT_BYTES:  # nothing we write is that long: step over it instead of keeping it
                self._advance(rest)
                rest = b""

    def _advance(self, data: bytes) -> None:
        self._offset += len(data)
        self._fingerprint = data[-_FINGERPRINT_BYTES:]


def parse_lines(lines: list[bytes]) -> list[dict[str, Any]]:
    """The JSON objects on `lines`; a line that is damaged or no object is left out."""
    rows: list[Any] = []
    try:
        rows = json.loads(b"[" + b",".join(lines) + b"]")  # one call for all lines takes half the time of one for each
    except (ValueError, RecursionError):
        rows = []
    if len(rows) != len(lines):
        rows = [_parse_line(line) for line in lines]
    return [row for row in rows if isinstance(row, dict)]


def _parse_line(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def to_number(value: Any) -> float:
    """A JSON value as a float: "nan", "inf" and "-inf" are read back; what is no number is NaN."""
    if type(value) in (int, float):
        try:
            return float(value)
        except OverflowError:
            return math.nan
    return _WORDS.get(value, math.nan) if isinstance(value, str) else math.nan
