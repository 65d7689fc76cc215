"""What the charts of a run draw: its metrics, thinned to what a screen can show, read once for all sessions."""

import math
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from runs.folder import RunFolder
from runs.metrics import MetricsReader, SamplesReader

Points = tuple[Sequence[float | None], Sequence[float | None]]

X_COLUMNS = {"step": "step", "tokens": "tokens_seen", "time": "elapsed_seconds"}
# A curve as it is has twice as many points: a lowest and a highest in each bucket. The charts are about 750 and 240
# pixels wide.
BUCKETS, SMALL_BUCKETS = 400, 120
# The small charts change slowly, and drawing is what a live page costs the browser most.
SMALL_SECONDS = 3.0
SPEED_WINDOW = 60  # looks at the run, about one a second
SPEED_MINIMUM_SECONDS, SPEED_GAP_SECONDS = 5.0, 10.0
SPEED_STEPS = 200
READERS = 16  # runs that are watched at the same time; the one that was looked at longest ago is forgotten


@dataclass(frozen=True)
class Curves:
    """The points of every chart of one run, in one choice of x."""

    train: Points
    smoothed: Points | None  # None: as it is, without smoothing
    validation: Points
    learning_rate: Points
    grad_norm: "Ranged"
    tokens_per_second: "Ranged"
    parents_text: Points = ((), ())  # validation loss on the text that the parent was trained on


@dataclass(frozen=True)
class Ranged:
    """A restless curve: the mean of neighbours, and from where to where they go; no range where none was merged."""

    mean: Points
    lowest: Points | None = None
    highest: Points | None = None


class RunReader:
    """Everything of a run that grows while it trains; one object for all sessions, safe between threads."""

    def __init__(self, run: RunFolder) -> None:
        self.metrics = MetricsReader(run.metrics_path)
        self.samples = SamplesReader(run.samples_path)
        self._lock = threading.Lock()
        self._seen: deque[tuple[float, int]] = deque(maxlen=SPEED_WINDOW)
        self._small: dict[tuple[str, str, str], tuple[float, Points]] = {}

    def refresh(self, force: bool = False) -> None:
        """Read what the worker has written since the last call; with `force`, to the last line."""
        self.metrics.refresh(force)
        self.samples.refresh(force)
        if force:
            self._small.clear()

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
        losses = self.metrics.series
        return Curves(
            train=_drawable(losses("train_loss_nats", column, buckets=BUCKETS)),
            smoothed=_drawable(losses("train_loss_nats", column, buckets=BUCKETS, smoothing=smoothing, kind="mean"))
            if smoothing
            else None,
            validation=self._evaluated("val_loss_nats", column),
            parents_text=self._evaluated("parent_val_loss_nats", column),
            learning_rate=self._slow("learning_rate", column, "extremes"),
            grad_norm=self.ranged("grad_norm", column),
            tokens_per_second=self.ranged("tokens_per_second", column),
        )

    def ranged(self, y: str, column: str) -> Ranged:
        """A restless column of the metrics over another one, thinned for a small chart."""
        mean = self._slow(y, column, "mean")
        if len(self.metrics) <= SMALL_BUCKETS:
            return Ranged(mean)
        return Ranged(mean, self._slow(y, column, "lowest"), self._slow(y, column, "highest"))

    def _slow(self, y: str, column: str, kind: str) -> Points:
        """Points that stay the same for some seconds: an unchanged figure is not drawn again."""
        now = time.monotonic()
        then, points = self._small.get((y, column, kind), (-math.inf, ([], [])))
        if now - then >= SMALL_SECONDS:
            points = _drawable(self.metrics.series(y, column, buckets=SMALL_BUCKETS, kind=kind))
            self._small[y, column, kind] = (now, points)
        return points

    def _evaluated(self, name: str, column: str) -> Points:
        """Where evaluations stand on x. Step 0 is before the first update, hence at 0."""
        evaluations = [row for row in self.metrics.evaluations if name in row]
        steps = [row.get("step", math.nan) for row in evaluations]
        losses = [row[name] for row in evaluations]
        return _drawable((steps if column == "step" else self.metrics.at_steps(steps, column), losses))


def _drawable(points: tuple[Sequence[float], Sequence[float]]) -> Points:
    """NaN and infinity as None, which a chart draws as a gap and JSON can carry."""
    x, y = points
    return list(x), [value if math.isfinite(value) else None for value in y]


@st.cache_resource(max_entries=READERS, show_spinner=False)
def _reader(path: str) -> RunReader:
    return RunReader(RunFolder(Path(path)))


def read_run(run: RunFolder, force: bool = False) -> RunReader:
    """The shared reader of a run, up to date (at most half a second old, or now with `force`)."""
    reader = _reader(str(run.path))
    reader.refresh(force)
    return reader
