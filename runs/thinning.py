"""Curves of any length for a chart of a thousand points: thinning that keeps every spike, and smoothing."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence

Points = tuple[list[float], list[float]]


def downsample(x: Sequence[float], y: Sequence[float], buckets: int = 1000) -> Points:
    """At most `2 * buckets` points of the curve: of each bucket of neighbours the lowest and the highest.

    Unlike a mean or every n-th point this keeps every spike. The order of x is kept. Values that are not finite are
    left out; a bucket that has no other gives one NaN, which a chart draws as a gap.
    """
    points: Points = ([], [])
    _thin(x, y, 0, len(y), bucket_width(len(y), buckets), points)
    return points


def bucket_width(count: int, buckets: int) -> int:
    """Neighbours in one bucket: the smallest power of two that makes at most `buckets` of `count` values.

    A power of two, so that the buckets of a growing run stay the same until it has doubled.
    """
    if buckets < 1:
        raise ValueError(f"buckets must be at least 1, not {buckets}")
    smallest = max(1, -(-count // buckets))
    return 1 << (smallest - 1).bit_length()


def _thin(x: Sequence[float], y: Sequence[float], start: int, end: int, width: int, points: Points) -> None:
    """Append the thinned points of rows `start` to `end` to `points`."""
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
    """The thinned, smoothed curve of two columns that only grow: a call costs what is new since the last one."""

    def __init__(self, buckets: int, smoothing: float) -> None:
        if not 0.0 <= smoothing < 1.0:
            raise ValueError(f"smoothing must be at least 0 and below 1, not {smoothing}")
        self._buckets = buckets
        self._smoothing = smoothing
        self._smooth: array[float] = array("d")
        self._average = 0.0
        self._weight = 0.0
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
        """Exponential moving average, divided by the weight it has seen so that it does not start at zero."""
        keep, average, weight = self._smoothing, self._average, self._weight
        for value in y[len(self._smooth) :]:
            if math.isfinite(value):  # one infinite loss must not erase the rest of the curve
                average = keep * average + (1.0 - keep) * value
                weight = keep * weight + (1.0 - keep)
            self._smooth.append(average / weight if weight else math.nan)
        self._average, self._weight = average, weight
