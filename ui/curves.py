"""What the charts of a run draw: its metrics, thinned to what a screen can show, and read only once for all sessions."""

import math
import threading
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from runs.folder import RunFolder
from runs.metrics import MetricsReader, SamplesReader, downsample

Points = tuple[Sequence[float | None], Sequence[float | None]]

X_COLUMNS = {"step": "step", "tokens": "tokens_seen", "time": "elapsed_seconds"}
SPEED_WINDOW = 60  # looks at the run, about one a second
SPEED_MINIMUM_SECONDS, SPEED_GAP_SECONDS = 5.0, 10.0
SPEED_STEPS = 200
READERS = 16  # runs that are watched at the same time; the one that was looked at longest ago is forgotten


class Smoother:
    """Exponential moving average of a column that grows: a call costs what is new since the last one."""

    def __init__(self, keep: float) -> None:
        self._keep = keep
        self._restart()

    def _restart(self) -> None:
        self._averages: list[float] = []
        self._total = self._weight = 0.0
        self._last = math.nan

    def extend(self, values: Sequence[float]) -> list[float]:
        """The average at every value, without the usual pull towards the start (Adam's bias correction).

        Values that are not finite leave the average as it is. A resume shortens the column: then it starts anew.
        """
        done = len(self._averages)
        if len(values) < done or (done and values[done - 1] != self._last and not math.isnan(self._last)):
            self._restart()
        keep, total, weight = self._keep, self._total, self._weight
        for value in values[len(self._averages) :]:
            if math.isfinite(value):
                total, weight = keep * total + (1 - keep) * value, keep * weight + (1 - keep)
            self._averages.append(total / weight if weight else math.nan)
        self._total, self._weight = total, weight
        self._last = values[-1] if values else math.nan
        return self._averages


@dataclass(frozen=True)
class Curves:
    """The points of every chart of one run, in one choice of x."""

    train: Points
    smoothed: Points | None  # None: as it is, without smoothing
    validation: Points
    learning_rate: Points
    grad_norm: Points
    tokens_per_second: Points


class RunReader:
    """Everything of a run that grows while it trains; one object for all sessions, safe between threads."""

    def __init__(self, run: RunFolder) -> None:
        self.metrics = MetricsReader(run.metrics_path)
        self.samples = SamplesReader(run.samples_path)
        self._smoothers: dict[float, Smoother] = {}
        self._seen: deque[tuple[float, int]] = deque(maxlen=SPEED_WINDOW)
        self._lock = threading.Lock()

    def refresh(self, force: bool = False) -> None:
        """Read what the worker has written since the last call."""
        self.metrics.refresh(force)
        self.samples.refresh(force)

    def seconds_per_step(self, step: int) -> float | None:
        """By the clock of whoever watches, so that evaluating, sampling and saving count too.

        Right after the page was opened there is nothing to compare with: then by training time alone.
        """
        with self._lock:
            now = time.monotonic()
            if self._seen and (step < self._seen[-1][1] or now - self._seen[-1][0] > SPEED_GAP_SECONDS):
                self._seen.clear()  # a resume went back, a pause, or nobody watched
            if not self._seen or step > self._seen[-1][1]:
                self._seen.append((now, step))
            (then, first), (_, last) = self._seen[0], self._seen[-1]
            if last > first and now - then >= SPEED_MINIMUM_SECONDS:
                return (now - then) / (last - first)
        elapsed = self.metrics.columns("elapsed_seconds")["elapsed_seconds"][-SPEED_STEPS:]
        return (elapsed[-1] - elapsed[0]) / (len(elapsed) - 1) if len(elapsed) > 1 else None

    def curves(self, x: str, smoothing: float) -> Curves:
        """The points to draw over x ("step", "tokens" or "time")."""
        column = X_COLUMNS[x]
        thin = self.metrics.series
        return Curves(
            train=_drawable(thin("train_loss_nats", column)),
            smoothed=self._smoothed(column, smoothing) if smoothing else None,
            validation=self._validation(column),
            learning_rate=_drawable(thin("learning_rate", column)),
            grad_norm=_drawable(thin("grad_norm", column)),
            tokens_per_second=_drawable(thin("tokens_per_second", column)),
        )

    def _smoothed(self, column: str, smoothing: float) -> Points:
        columns = self.metrics.columns(column, "train_loss_nats")
        with self._lock:
            smoother = self._smoothers.setdefault(smoothing, Smoother(smoothing))
            averages = list(smoother.extend(columns["train_loss_nats"]))
        return _drawable(downsample(columns[column], averages))

    def _validation(self, column: str) -> Points:
        evaluations = self.metrics.evaluations
        steps = [row.get("step", math.nan) for row in evaluations]
        losses = [row["val_loss_nats"] for row in evaluations]
        return _drawable((self._positions(steps, column), losses))

    def _positions(self, steps: list[float], column: str) -> list[float]:
        """Where evaluations stand on x. Step 0 is before the first update, hence at 0."""
        if column == "step":
            return steps
        columns = self.metrics.columns("step", column)
        known, positions = columns["step"], columns[column]
        found = (bisect_left(known, step) for step in steps)
        return [
            0.0 if step == 0 or not positions else positions[min(index, len(positions) - 1)]
            for step, index in zip(steps, found, strict=True)
        ]


def _drawable(points: tuple[Sequence[float], Sequence[float]]) -> Points:
    """NaN and infinity as None, which a chart draws as a gap and JSON can carry."""
    x, y = points
    return x, [value if math.isfinite(value) else None for value in y]


@st.cache_resource(max_entries=READERS, show_spinner=False)
def _reader(path: str) -> RunReader:
    return RunReader(RunFolder(Path(path)))


def read_run(run: RunFolder, force: bool = False) -> RunReader:
    """The shared reader of a run, up to date (at most half a second old, or now with `force`)."""
    reader = _reader(str(run.path))
    reader.refresh(force)
    return reader
