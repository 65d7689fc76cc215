"""The baselines on a loss plot: thin lines, and their names beside the plot, where no curve runs through them.

Two names never touch: they are moved apart as little as possible, and a short stroke leads from each to its line. A
baseline that is far from the curves would press them flat; it has no line, and its name with an arrow says where it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from runs.baselines import baseline_title

NAME_MARGIN = 66  # pixels at the right of a plot
FONT_SIZE, NAME_GAP = 11, 13  # pixels
STROKE = 12
PADDING = 0.05  # what plotly leaves free above and below a curve
CURVES_SHARE = 0.6  # of the height that the curves keep, however many baselines are below or above them


def add_lines(
    layout: dict[str, Any],
    baselines: Mapping[str, float],
    losses: Iterable[float | None],
    *,
    height: float,
    color: str,
    log: bool = False,
) -> None:
    """Add a line and a name for every baseline to a layout of plotly.

    Args:
        layout: Of a figure with one y axis; its right margin becomes `NAME_MARGIN`.
        baselines: Losses in nats per token by name, see `runs.baselines.read_baselines`.
        losses: What the curves show; gaps are None.
        height: Of the plot without its margins, in pixels.
        log: Whether the y axis is logarithmic.
    """
    scale = math.log10 if log else float
    names = sorted((name for name in baselines if baselines[name] > 0 or not log), key=lambda name: -baselines[name])
    places = [scale(baselines[name]) for name in names]
    drawn = [scale(loss) for loss in losses if loss is not None and (loss > 0 or not log)]
    if not places:
        return
    low, high = visible_range(places, drawn)
    pad = (high - low) * PADDING or 1.0
    low, high = low - pad, high + pad
    wanted = [height * (high - place) / (high - low) for place in places]
    shapes, annotations = layout.setdefault("shapes", []), layout.setdefault("annotations", [])
    for name, place, at, y in zip(names, places, wanted, spread(wanted, NAME_GAP, height), strict=True):
        label = {
            "x": 1, "xref": "paper", "xanchor": "left", "yanchor": "middle", "text": baseline_title(name),
            "hovertext": f"{baseline_title(name)}: {baselines[name]:.4g} nats per token",
            "font": {"size": FONT_SIZE, "color": color},
        }  # fmt: skip
        if low <= place <= high:
            shapes.append(level(baselines[name], color))
            # plotly wants the logarithm here, but not in the line
            stroke = {"showarrow": True, "arrowhead": 0, "arrowwidth": 0.5, "arrowcolor": color, "standoff": 0}
            annotations.append(label | stroke | {"y": place, "yref": "y", "ax": STROKE, "ay": round(y - at, 1)})
        else:
            above = place > high
            label |= {"text": f"{'↑' if above else '↓'} {label['text']}", "xshift": STROKE - 9, "showarrow": False}
            edge = 0 if above else height
            annotations.append(label | {"y": int(above), "yref": "paper", "yshift": round(edge - y, 1)})
    layout["margin"] = {**layout.get("margin", {}), "r": NAME_MARGIN}


def level(y: float, color: str, width: float = 1, opacity: float = 0.6) -> dict[str, Any]:
    """A dotted line over the whole width, behind the curves."""
    line = {"color": color, "width": width, "dash": "dot"}
    ends = {"type": "line", "xref": "x domain", "x0": 0, "x1": 1, "yref": "y", "y0": y, "y1": y}
    return ends | {"line": line, "opacity": opacity, "layer": "below"}


def visible_range(places: Sequence[float], drawn: Sequence[float]) -> tuple[float, float]:
    """What the y axis shows: the curves, and the baselines nearest to them while the curves stay large."""
    if not drawn:
        return min(places), max(places)
    low, high = min(drawn), max(drawn)
    most = (high - low) / CURVES_SHARE
    for place in sorted(places, key=lambda place: max(low - place, place - high)):
        if max(high, place) - min(low, place) <= most:
            low, high = min(low, place), max(high, place)
    return low, high


def spread(wanted: Sequence[float], gap: float, height: float) -> list[float]:
    """Places at least `gap` apart, from 0 to `height`, as near as possible (least squares) to the ascending `wanted`.

    Without their gaps, place i less i gaps, they need only be in order: where two are not, both get their mean, and so
    on with whole groups (pool adjacent violators, Ayer et al. 1955).
    """
    groups: list[tuple[float, int]] = []  # mean, how many
    for index, place in enumerate(wanted):
        mean, size = place - index * gap, 1
        while groups and groups[-1][0] > mean:
            other, others = groups.pop()
            mean, size = (mean * size + other * others) / (size + others), size + others
        groups.append((mean, size))
    last = max(0.0, height - (len(wanted) - 1) * gap)
    packed = [min(max(mean, 0.0), last) for mean, size in groups for _ in range(size)]
    return [place + index * gap for index, place in enumerate(packed)]
