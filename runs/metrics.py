"""The metrics of a run: one worker appends lines to a file, any number of readers follow it."""

from __future__ import annotations

import math
import os
import threading
import time
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runs.files import to_json_line
from runs.following import REFRESH_SECONDS, LineFollower, to_number
from runs.routing import Routing, parse_routing
from runs.thinning import GrowingSeries, Points

if TYPE_CHECKING:
    from runs.folder import RunFolder

FLUSH_SECONDS = 0.25
_CHUNK_BYTES = 1 << 20
# A line has seven keys today; a file with thousands is not ours and would take memory for each.
_COLUMN_LIMIT = 64
_SERIES_LIMIT = 32


class MetricsWriter:
    """Appends JSON lines to metrics.jsonl (or, given a path, to samples.jsonl); only the worker has one.

    A line that a killed worker left half-written is cut off when the file is opened again.
    """

    def __init__(self, run: RunFolder | Path) -> None:
        path = run if isinstance(run, Path) else run.metrics_path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o666)
        self._lines: list[str] = []
        self._last_flush_time = time.monotonic()
        os.ftruncate(self._descriptor, _end_of_last_line(self._descriptor))

    def write(self, values: dict[str, Any]) -> None:
        """Append one line. It reaches the file 0.25 s after the last flush, with the next line, or at `flush`."""
        self._lines.append(to_json_line(values))
        if time.monotonic() - self._last_flush_time >= FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Hand every line to the operating system. Call it before anything slow: evaluation, saving, a pause.

        Raises:
            OSError: the disk is full; the lines are kept and the next flush tries again.
        """
        self._last_flush_time = time.monotonic()
        if not self._lines:
            return
        end = os.fstat(self._descriptor).st_size
        data = memoryview(("\n".join(self._lines) + "\n").encode("utf-8", errors="backslashreplace"))
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError:
            os.ftruncate(self._descriptor, end)  # else the next flush would repeat the part that was written
            raise
        self._lines.clear()

    def offset(self) -> int:
        """Bytes in the file, all of them on the disk: what a checkpoint notes, to cut the file to when resumed."""
        self.flush()
        os.fsync(self._descriptor)
        return os.fstat(self._descriptor).st_size

    def truncate(self, offset: int) -> None:
        """Forget every line after `offset`, those still waiting included: a resume writes their steps again."""
        self._lines.clear()
        os.ftruncate(self._descriptor, min(offset, os.fstat(self._descriptor).st_size))
        os.ftruncate(self._descriptor, _end_of_last_line(self._descriptor))

    def close(self) -> None:
        """Write what is left and let the file go."""
        try:
            self.offset()
        finally:
            os.close(self._descriptor)


def _end_of_last_line(descriptor: int) -> int:
    end = os.fstat(descriptor).st_size
    while end > 0:
        start = max(0, end - _CHUNK_BYTES)
        newline = os.pread(descriptor, end - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0


class MetricsReader:
    """Follows the metrics of one run. One object may be shared by all sessions: it is thread-safe.

    Every optimizer step is one row of every column, in the order of the file; a value that its line lacks, or that is
    no number, is NaN. What is handed out are copies; take x and y from one `columns` call (or use `series`), so that
    they have the same length although the run goes on.
    """

    def __init__(self, path: Path, refresh_seconds: float = REFRESH_SECONDS) -> None:
        self._lock = threading.Lock()
        self._lines = LineFollower(path, refresh_seconds)
        self._version = 0
        self._clear()

    def _clear(self) -> None:
        self._columns: dict[str, array[float]] = {"step": array("d")}
        self._evaluations: list[dict[str, float]] = []
        self._routing: Routing | None = None
        self._series: dict[tuple[str, int, float, str], GrowingSeries] = {}

    def refresh(self, force: bool = False) -> bool:
        """Read what was appended; True when anything changed.

        At most one call in 0.5 s looks at the file, however many sessions ask. When a run has ended, one last
        `refresh(force=True)` is sure to bring its last lines.
        """
        with self._lock:
            changed = self._lines.read(force, self._clear, self._add)
            self._version += changed
            return changed

    def _add(self, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            if "val_loss_nats" in row:
                self._evaluations.append({name: to_number(value) for name, value in row.items()})
                self._routing = parse_routing(row) or self._routing
        rows = [row for row in rows if "train_loss_nats" in row]
        count = len(self._columns["step"])
        for name in dict.fromkeys(name for names in dict.fromkeys(map(tuple, rows)) for name in names):
            if name not in self._columns and len(self._columns) < _COLUMN_LIMIT:
                self._columns[name] = array("d", [math.nan]) * count
        for name, column in self._columns.items():
            try:
                column.extend(array("d", [row[name] for row in rows]))
            except (KeyError, TypeError, OverflowError):  # a missing value, a word such as "nan", a huge integer
                column.extend(array("d", [to_number(row.get(name)) for row in rows]))

    @property
    def version(self) -> int:
        """Grows whenever `refresh` found something: a figure that was made from this version is still right."""
        with self._lock:
            return self._version

    def __len__(self) -> int:
        """Logged optimizer steps."""
        with self._lock:
            return len(self._columns["step"])

    def columns(self, *names: str) -> dict[str, list[float]]:
        """Copies of the named columns (default: all there are), of equal length."""
        with self._lock:
            return {name: self._column(name).tolist() for name in names or tuple(self._columns)}

    def _column(self, name: str) -> array[float]:
        if name in self._columns:
            return self._columns[name]
        return array("d", [math.nan]) * len(self._columns["step"])

    def last(self) -> dict[str, float]:
        """The newest row by column name; empty before the first step."""
        with self._lock:
            return {name: column[-1] for name, column in self._columns.items() if column}

    @property
    def evaluations(self) -> list[dict[str, float]]:
        """The evaluation lines so far: step, val_loss_nats, val_bits_per_byte."""
        with self._lock:
            return [dict(row) for row in self._evaluations]

    @property
    def routing(self) -> Routing | None:
        """What the experts did at the newest evaluation; None for a model without."""
        with self._lock:
            return self._routing

    def series(
        self, y: str, x: str = "step", *, buckets: int = 1000, smoothing: float = 0.0, kind: str = "extremes"
    ) -> Points:
        """Column `y` over column `x` for a chart: the lowest and highest of each bucket, at most `2 * buckets` points.

        A redraw costs what is new, not the length of the run, also over another x.

        Args:
            smoothing: weight of the past in an exponential moving average; 0 shows the values as they are.
            kind: what a bucket becomes instead: its "mean", its "lowest" or its "highest" value.

        Raises:
            ValueError: buckets below 1, or smoothing outside of [0, 1).
        """
        key = (y, buckets, smoothing, kind)
        with self._lock:
            series = self._series.pop(key, None) or GrowingSeries(buckets, smoothing, kind)
            while len(self._series) >= _SERIES_LIMIT:  # a smoothing slider makes a series at every stop
                del self._series[next(iter(self._series))]
            self._series[key] = series
            return series.extend(self._column(x), self._column(y))

    def at_steps(self, steps: Sequence[float], name: str) -> list[float]:
        """Column `name` at these steps, or where the next row is; 0 at step 0, which is before the first row."""
        with self._lock:
            known, values = self._column("step"), self._column(name)
            rows = [min(bisect_left(known, step), len(values) - 1) for step in steps]
            return [values[row] if step and row >= 0 else 0.0 for row, step in zip(rows, steps, strict=True)]


class SamplesReader:
    """Follows samples.jsonl, the texts that a run wrote while training. Thread-safe, as `MetricsReader`."""

    def __init__(self, path: Path, refresh_seconds: float = REFRESH_SECONDS) -> None:
        self._lock = threading.Lock()
        self._lines = LineFollower(path, refresh_seconds)
        self._samples: list[dict[str, Any]] = []

    def refresh(self, force: bool = False) -> bool:
        """Read what was appended; True when anything changed. At most one call in 0.5 s looks at the file."""
        with self._lock:
            return self._lines.read(force, self._samples.clear, self._samples.extend)

    @property
    def samples(self) -> list[dict[str, Any]]:
        """Every sample so far, oldest first. The text is the model's: never draw it as Markdown or HTML."""
        with self._lock:
            return list(self._samples)
