"""Several runs on one chart: their curves over steps, tokens, time or FLOPs, each in its own colour."""

import html
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from runs.summaries import Summary
from ui import charts
from ui.charts import Figure, View
from ui.curves import BUCKETS, X_COLUMNS, Points, RunReader
from ui.words import number

HEIGHT = 440
COLUMNS = X_COLUMNS | {"flops": "tokens_seen"}
UNITS = {"nats": "nats per token", "bits": "bits per byte"}
KINDS = ("validation", "train")
# Runs of one colour on one chart: the second is dashed, and so on.
DASHES = ("solid", "dash", "dot", "dashdot")
FEW_POINTS = 50


@dataclass(frozen=True)
class Overlay:
    """How a person wants to look at several curves."""

    view: View
    kind: str = "validation"  # or train
    unit: str = "nats"  # or bits
    log_x: bool = False


def overlay_figure(summaries: Sequence[Summary], readers: Sequence[RunReader], overlay: Overlay) -> Figure:
    """One curve for each run; the newest lies on top."""
    lines = []
    for summary, dash, reader in zip(summaries, dashes(summaries), readers, strict=True):
        points = curve(summary, reader, overlay)
        color = charts.run_color(summary.label, overlay.view.theme)
        marked = overlay.kind == "validation" and len(points[0]) <= FEW_POINTS
        more = {"mode": "lines+markers", "marker": {"color": color, "size": 5}, "cliponaxis": False} if marked else {}
        line = charts.curve_line(points, color, 2, html.escape(summary.label.name), **more)
        line["line"]["dash"] = dash
        lines.append(line)
    title = f"{overlay.kind.capitalize()} loss <span style='font-weight:400'>in {UNITS[overlay.unit]}</span>"
    figure = charts.new_figure(title, HEIGHT, overlay.view, lines)
    layout = figure["layout"]
    layout |= {"hovermode": "x unified", "margin": layout["margin"] | {"l": 52}}
    # A zoom stays while the same curves are drawn over the same axes.
    drawn = [summary.run.id for summary, line in zip(summaries, lines, strict=True) if line["x"]]
    layout["uirevision"] = f"{overlay} {drawn}"
    layout["xaxis"]["rangemode"] = "normal"
    if overlay.view.log:
        layout["yaxis"] |= {"type": "log", "nticks": 8}
    if overlay.log_x:
        layout["xaxis"] |= {"type": "log"}
    if not any(line["x"] for line in lines):
        layout["annotations"] = [charts.EMPTY | {"text": "None of these runs has such a curve yet."}]
    return figure


def dashes(summaries: Sequence[Summary]) -> list[str]:
    """How each line is drawn: solid, unless an earlier one has its colour."""
    seen: Counter[int] = Counter()
    found = []
    for summary in summaries:
        found.append(DASHES[seen[summary.label.color] % len(DASHES)])
        seen[summary.label.color] += 1
    return found


def curve(summary: Summary, reader: RunReader, overlay: Overlay) -> Points:
    """The points of one run's curve. In bits per byte a train loss is scaled as the validation text's is."""
    column = COLUMNS[overlay.view.x]
    if overlay.kind == "validation":
        rows = reader.metrics.evaluations
        steps = [row.get("step", math.nan) for row in rows]
        x: Sequence[float] = steps if column == "step" else reader.metrics.at_steps(steps, column)
        y = [row["val_loss_nats"] if overlay.unit == "nats" else row.get("val_bits_per_byte", math.nan) for row in rows]
    else:
        x, y = reader.metrics.series(
            "train_loss_nats", column, buckets=BUCKETS, smoothing=overlay.view.smoothing, kind="mean"
        )
        factor = 1.0 if overlay.unit == "nats" else _bits_per_nat(reader)
        y = [value * factor for value in y]
    factor = _flops_per_token(summary) if overlay.view.x == "flops" else 1.0
    drawn = [
        (place * factor, value)
        for place, value in zip(x, y, strict=True)
        if math.isfinite(value) and math.isfinite(place * factor) and (place > 0 or not overlay.log_x)
    ]
    return [place for place, _ in drawn], [value for _, value in drawn]


def _bits_per_nat(reader: RunReader) -> float:
    last = (reader.metrics.evaluations or [{}])[-1]
    return last.get("val_bits_per_byte", math.nan) / (last.get("val_loss_nats") or math.nan)


def _flops_per_token(summary: Summary) -> float:
    return summary.flops / summary.tokens_seen if summary.flops and summary.tokens_seen else math.nan


def describe(summaries: Sequence[Summary], overlay: Overlay) -> str:
    """The chart in a sentence, for those who cannot see it."""
    best = [
        f"{summary.label.name} {number(value)}"
        for summary in summaries
        if (value := summary.best_loss_nats if overlay.unit == "nats" else summary.best_bits_per_byte) is not None
    ]
    kind = overlay.kind.capitalize()
    return f"{kind} loss of {len(summaries)} runs; best validation: {', '.join(best) or 'none yet'}."
