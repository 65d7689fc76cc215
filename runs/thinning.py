"""Curves of any length for a chart of a thousand points: thinning that keeps every spike, and smoothing."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence

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


def _thin(x: Sequence[float], y: Sequence[float], start: int, end: int, width: int, points: Points) -> None:
    """Append the thinned points of rows `start` to `end` to `points`: the lowest and the highest of each bucket.

    Unlike a mean or every n-th point this keeps every spike. The order of x is kept. Values that are not finite are
    left out; a bucket that has no other gives one NaN, which a chart draws as a gap.
    """
    for begin in range(start, end, width):
        values = y[begin : min(begin + width, end)]
        if not math.isfinite(sum(values)):
            finite = [value for value in values if math.isfinite(value)]
            if not finite:
                points[0].append(x[begin])
                points[1].append(math.nan)
                continue
            low, high = min(finite), max(finite)
        else:
            low, high = min(values), max(values)
        rows = {begin + values.index(low), begin + values.index(high)}
        for row in sorted(rows):
            points[0].append(x[row])
            points[1].append(y[row])


class GrowingSeries:
    """The thinned, smoothed curve of two columns that only grow: a call costs what is new since the last one.

    Args:
        buckets: of neighbours, each of which gives its lowest and its highest point.
        smoothing: weight of the past in an exponential moving average; 0 shows the values as they are.
    """

    def __init__(self, buckets: int, smoothing: float) -> None:
        if not 0.0 <= smoothing < 1.0:
            raise ValueError(f"smoothing must be at least 0 and below 1, not {smoothing}")
        self._buckets = buckets
        self._smoothing = smoothing
        self._smooth: array[float] = array("d")
        self._average = 0.0
        self._seen = 0
        self._start_with(1)

    def _start_with(self, width: int) -> None:
        self._width = width
        self._done = 0
        self._points: Points = ([], [])

    def extend(self, x: Sequence[float], y: Sequence[float]) -> Points:
        """The points of the whole curve; `x` and `y` begin with the values of the last call."""
        if self._smoothing:
            self._extend_average(y)
            y = self._smooth
        width = bucket_width(len(y), self._buckets)
        if width != self._width:
            self._start_with(width)
        full = len(y) - len(y) % width
        _thin(x, y, self._done, full, width, self._points)
        self._done = full
        points = (self._points[0].copy(), self._points[1].copy())
        _thin(x, y, full, len(y), width, points)
        return points

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
