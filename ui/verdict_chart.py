"""Differences from the reference with their intervals, one row a run: left of zero is better."""

import html
from collections.abc import Sequence

from runs.summaries import Summary
from ui import charts
from ui.charts import Figure
from ui.comparison_engine import Verdict

ROW, FRAME = 40, 88  # pixels


def figure(rows: Sequence[tuple[Summary, Verdict]], reference: str, theme: str) -> Figure:
    """A point and a bar for each run; what is not real is hollow."""
    lines = [_row(summary, verdict, at, theme) for at, (summary, verdict) in enumerate(rows)]
    largest = max(max(abs(verdict.low), abs(verdict.high)) for _, verdict in rows) or 1e-4
    title = f"Bits per byte more than {html.escape(reference)}<span style='font-weight:400'> (less is better)</span>"
    layout = {
        "title": {"text": title, "font": {"size": 13}, "x": 0, "xanchor": "left", "y": 1, "yanchor": "top"},
        "height": FRAME + ROW * len(rows),
        "margin": {"l": 132, "r": 24, "t": 32, "b": 40},
        "hovermode": "closest",
        "showlegend": False,
        "xaxis": {"range": [-1.15 * largest, 1.15 * largest], "tickformat": "+.2~g", "automargin": False},
        "yaxis": {
            "tickvals": list(range(len(rows))), "ticktext": [_short(summary.label.name) for summary, _ in rows],
            "range": [len(rows) - 0.5, -0.5], "showgrid": False, "automargin": False,
        },
        "shapes": [
            {"type": "line", "x0": 0, "x1": 0, "yref": "paper", "y0": 0, "y1": 1,
             "line": {"color": charts.QUIET, "width": 1.5, "dash": "dot"}},
        ],
    }  # fmt: skip
    return {"data": lines, "layout": layout}


def _row(summary: Summary, verdict: Verdict, at: int, theme: str) -> dict[str, object]:
    color = charts.run_color(summary.label, theme)
    interval = f"between {verdict.low:+.4f} and {verdict.high:+.4f}"
    ends = {"array": [verdict.high - verdict.mean], "arrayminus": [verdict.mean - verdict.low]}
    return {
        "type": "scatter", "mode": "markers", "x": [verdict.mean], "y": [at], "name": html.escape(summary.label.name),
        "error_x": {"type": "data", "symmetric": False, "color": color, "thickness": 2, "width": 6} | ends,
        "marker": {"size": 11, "color": color, "symbol": "circle" if verdict.real else "circle-open"},
        "hovertemplate": f"%{{x:+.4f}}, {interval}<extra>%{{fullData.name}}</extra>",
    }  # fmt: skip


def _short(name: str) -> str:
    return html.escape(name if len(name) <= 18 else f"{name[:17]}…")


def describe(rows: Sequence[tuple[Summary, Verdict]], reference: str) -> str:
    """The chart in a sentence, for those who cannot see it."""
    parts = [f"{summary.label.name} {verdict.mean:+.4f}" for summary, verdict in rows]
    return f"Difference from {reference} in bits per byte: {', '.join(parts)}."
