"""Curves of any length for a chart of a thousand points: thinning that keeps every spike or the mean, and smoothing."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Sequence

Points = tuple[list[float], list[float]]


# An average looks back over at most about this share of the curve so far: a tenth.
LOOK_BACK = 10


def bucket_width(count: int, buckets: int) -> int:
    """Neighbours in one bucket: the smallest power of two that makes at most `buckets` of `count` values.

    A power of two, so that the buckets of a growing run stay the same until it has doubled.
    """
    if buckets < 1:
        raise ValueError(f"buckets must be at least 1, not {buckets}")
    smallest = max(1, -(-count // buckets))
    return 1 << (smallest - 1).bit_length()


def _extremes(values: Sequence[float]) -> list[tuple[int, float]]:
    """The lowest and the highest, in their order: unlike a mean or every n-th point this keeps every spike."""
    places = {values.index(min(values)), values.index(max(values))}
    return [(place, values[place]) for place in sorted(places)]


def _in_the_middle(reduce: Callable[[Sequence[float]], float]) -> Callable[[Sequence[float]], list[tuple[int, float]]]:
    return lambda values: [(len(values) // 2, reduce(values))]


# What a bucket becomes: places in it with their values. "extremes" for curves as they are; a line through both would be
# a ragged band, so that an average is drawn by "mean", and a band by its edges.
KINDS: dict[str, Callable[[Sequence[float]], list[tuple[int, float]]]] = {
    "extremes": _extremes,
    "mean": _in_the_middle(lambda values: math.fsum(values) / len(values)),
    "lowest": _in_the_middle(min),
    "highest": _in_the_middle(max),
}


def _thin(y: Sequence[float], start: int, end: int, width: int, kind: str, rows: list[int], out: list[float]) -> None:
    """Append what the buckets of rows `start` to `end` become to `rows` and `out`.

    Values that are not finite are left out; a bucket that has no other gives one NaN, which a chart draws as a gap.
    """
    reduce = KINDS[kind]
    for begin in range(start, end, width):
        values = y[begin : min(begin + width, end)]
        places: Sequence[int] | None = None
        if not math.isfinite(sum(values)):
            places = [place for place, value in enumerate(values) if math.isfinite(value)]
            values = [values[place] for place in places]
        if not values:
            rows.append(begin)
            out.append(math.nan)
            continue
        for place, value in reduce(values):
            rows.append(begin + (places[place] if places else place))
            out.append(value)


class GrowingSeries:
    """The thinned, smoothed curve of a column that only grows: a call costs what is new since the last one.

    It remembers rows, not places on x: the same curve over another x costs as many look-ups as it has points.

    Args:
        buckets: of neighbours, each of which gives one or two points.
        smoothing: weight of the past in an exponential moving average; 0 shows the values as they are.
        kind: what a bucket becomes, one of `KINDS`.
    """

    def __init__(self, buckets: int, smoothing: float, kind: str = "extremes") -> None:
        if not 0.0 <= smoothing < 1.0:
            raise ValueError(f"smoothing must be at least 0 and below 1, not {smoothing}")
        self._buckets, self._kind = buckets, kind
        self._smoothing = smoothing
        self._smooth: array[float] = array("d")
        self._average = 0.0
        self._seen = 0
        self._start_with(1)

    def _start_with(self, width: int) -> None:
        self._width = width
        self._done = 0
        self._rows: list[int] = []
        self._values: list[float] = []

    def extend(self, x: Sequence[float], y: Sequence[float]) -> Points:
        """The points of the whole curve; `y` begins with the values of the last call."""
        if self._smoothing:
            self._extend_average(y)
            y = self._smooth
        width = bucket_width(len(y), self._buckets)
        if width != self._width:
            self._start_with(width)
        full = len(y) - len(y) % width
        _thin(y, self._done, full, width, self._kind, self._rows, self._values)
        self._done = full
        rows, values = self._rows.copy(), self._values.copy()
        _thin(y, full, len(y), width, self._kind, rows, values)
        return [x[row] for row in rows], values

    def _extend_average(self, y: Sequence[float]) -> None:
        """Exponential moving average that forgets faster while the curve is short.

        After n values it keeps min(smoothing, n / (n + 10)) of the past. The usual correction, dividing by the weights
        so far, would show the mean of everything at first, which lies a third of a nat above a loss that falls as in
        the first steps of a training; this lies less than a tenth above it.
        """
        average, seen = self._average, self._seen
        for value in y[len(self._smooth) :]:
            if math.isfinite(value):  # one infinite loss must not erase the rest of the curve
                keep = min(self._smoothing, seen / (seen + LOOK_BACK))
                average = keep * average + (1.0 - keep) * value
                seen += 1
            self._smooth.append(average if seen else math.nan)
        self._average, self._seen = average, seen
