"""The figures of one run, as plotly sees them: the loss, large, and three small ones that explain it.

They are plain dictionaries: building plotly's figure objects would cost a live page 100 ms each second, the
dictionaries 1. Colours of text, grid and background are left to `ui/plot.py`, so one figure serves light and dark;
only the lines have colours of their own, chosen to be told apart by colour-blind eyes on both backgrounds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runs.baseline_lines import add_lines, level
from runs.names import Label
from ui.curves import Curves, Points, Ranged
from ui.words import number

# The same as chartCategoricalColors in .streamlit/config.toml (a test compares them).
RUN_COLORS = {
    "light": ("#0f766e", "#cc5a2b", "#4477aa", "#aa3377", "#8a7a10", "#3d8b3d", "#66608f", "#777777"),
    "dark": ("#2dd4bf", "#f28e5c", "#77aadd", "#ee8fc0", "#ddcc77", "#88cc88", "#aaa4dd", "#aaaaaa"),
}
INK = {"light": "#26241f", "dark": "#ece9e4"}
QUIET = "#8a867d"
WARNING = {"light": "#cc5a2b", "dark": "#f28e5c"}

X_TITLES = {
    "step": "step", "tokens": "tokens seen", "time": "training time (seconds)",
    "flops": "training FLOPs (floating-point operations)",
}  # fmt: skip
HEIGHT, SMALL_HEIGHT = 416, 192
FEW_EVALUATIONS = 50  # more points would touch each other
BAND = "rgba(138,134,125,0.3)"  # QUIET, faint
RATE_MARGIN = 58  # pixels: 0.00005 is wider than other numbers
RATE_FORMATS = [
    {"dtickrange": [None, 9e-6], "value": "~e"}, {"dtickrange": [9e-6, None], "value": "~g"},
]  # fmt: skip

EMPTY = {
    "text": "The first point appears here after the first step.", "showarrow": False, "x": 0.5, "y": 0.5,
    "xref": "paper", "yref": "paper", "font": {"size": 14, "color": QUIET},
}  # fmt: skip

Figure = dict[str, Any]


@dataclass(frozen=True)
class View:
    """How a person wants to look at the curves."""

    x: str = "step"  # step, tokens, time or flops
    log: bool = False
    smoothing: float = 0.9  # share of the old average that each step keeps; 0 is off
    theme: str = "light"


def run_color(label: Label, theme: str = "light") -> str:
    """The colour of a run, the same on every page and in every session: its label says which one."""
    return RUN_COLORS[theme][label.color]  # never the last, a grey that is too quiet for a run


def loss_figure(curves: Curves, color: str, view: View, baselines: Mapping[str, float] | None = None) -> Figure:
    """Train loss raw (faint) and smoothed (bold), validation loss with its points, baselines as thin labelled lines."""
    if curves.smoothed is None:
        lines = [curve_line(curves.train, color, 1.5, "train")]
    else:
        raw = curve_line(curves.train, color, 1, "train, each step", opacity=0.3, hoverinfo="skip", showlegend=False)
        lines = [raw, curve_line(curves.smoothed, color, 2.5, "train")]
    ink = INK[view.theme]
    few = len(curves.validation[0]) <= FEW_EVALUATIONS
    # Without its points the line is thin enough to leave the train line beneath it in sight.
    points = {"mode": "lines+markers", "marker": {"color": ink, "size": 6}, "cliponaxis": False} if few else {}
    lines.append(curve_line(curves.validation, ink, 1.5 if few else 1, "validation", **points))
    if curves.parents_text[0]:
        dashed: dict[str, Any] = {"line": {"color": ink, "width": 1.5, "dash": "dash"}}
        dashed |= points | {"marker": {"color": ink, "size": 6, "symbol": "circle-open"}} if few else {}
        lines.append(curve_line(curves.parents_text, ink, 1.5, "on the parent's text", **dashed))
    figure = new_figure("", HEIGHT, view, lines)
    # Room to the left of 0, where the first point of the validation would otherwise lie on the numbers.
    figure["layout"]["xaxis"] |= {"rangemode": "normal"} if curves.validation[0] else {}
    layout = figure["layout"]
    layout |= {"hovermode": "x unified", "showlegend": True}
    layout["legend"] = {
        "orientation": "h",
        "x": 0,
        "xanchor": "left",
        "y": 1,
        "yanchor": "bottom",
        "font": {"size": 13},
    }
    layout["annotations"] = []
    losses = [*curves.train[1], *curves.validation[1], *curves.parents_text[1]]
    inner = HEIGHT - layout["margin"]["t"] - layout["margin"]["b"]
    add_lines(layout, baselines or {}, losses, height=inner, color=QUIET, log=view.log)
    if view.log:
        layout["yaxis"] |= {"type": "log", "nticks": 8}
    if not curves.train[0] and not curves.validation[0]:
        layout["annotations"].append(EMPTY)
    return figure


def rate_figure(curves: Curves, view: View) -> Figure:
    """The learning rate: warm-up, then decay."""
    figure = small_figure("Learning rate", view, [curve_line(curves.learning_rate, QUIET, 1.5, "learning rate")])
    figure["layout"]["margin"] = figure["layout"]["margin"] | {"l": RATE_MARGIN}
    figure["layout"]["yaxis"] |= {"tickformatstops": RATE_FORMATS}
    return figure


def gradient_figure(curves: Curves, view: View, clip: float) -> Figure:
    """The gradient's norm before clipping, and the length that clipping leaves."""
    color = WARNING[view.theme]
    note = f" <span style='font-weight:400;color:{color}'>clip {clip:g}</span>" if clip else ""
    figure = small_figure(f"Gradient norm{note}", view, ranged_lines(curves.grad_norm, "gradient norm"))
    if clip and curves.grad_norm.mean[0]:
        figure["layout"]["shapes"] = [level(clip, color, 1.5, opacity=1)]
    return figure


def speed_figure(curves: Curves, view: View) -> Figure:
    """Tokens trained on in each second."""
    figure = small_figure("Tokens per second", view, ranged_lines(curves.tokens_per_second, "tokens/s"))
    figure["layout"]["yaxis"] |= {"tickformat": "~s"}
    return figure


def ranged_lines(curve: Ranged, name: str) -> list[dict[str, Any]]:
    """The mean, over a faint band from the lowest to the highest of each bucket."""
    mean = curve_line(curve.mean, QUIET, 1.5, name)
    if curve.lowest is None or curve.highest is None:
        return [mean]
    low, high = (
        [(x, y) for x, y in zip(*edge, strict=True) if y is not None] for edge in (curve.lowest, curve.highest)
    )
    outline = [*low, *reversed(high)]
    ends = ([x for x, _ in outline], [y for _, y in outline])
    band = curve_line(ends, QUIET, 0, f"{name}, range", fill="toself", fillcolor=BAND, hoverinfo="skip")
    return [band, mean]


def small_figure(title: str, view: View, lines: list[dict[str, Any]]) -> Figure:
    """One of the charts in a row below the loss."""
    figure = new_figure(title, SMALL_HEIGHT, view, lines)
    figure["layout"]["yaxis"] |= {"rangemode": "tozero", "nticks": 4}
    figure["layout"]["xaxis"] |= {"nticks": 4, "tickangle": 0}
    return figure


def describe_loss(curves: Curves) -> str:
    """The loss chart in a sentence, for those who cannot see it."""
    steps, losses = curves.smoothed or curves.train
    if not steps:
        return "Loss chart, still empty: the run has not trained a step yet."
    text = f"Loss chart. Train loss from {number(losses[0], 3)} to {number(losses[-1], 3)}"
    for curve, what in ((curves.validation, "validation loss"), (curves.parents_text, "loss on the parent's text")):
        text += f"; last {what} {number(curve[1][-1], 3)}" if curve[1] else ""
    return text + "."


def new_figure(title: str, height: int, view: View, lines: list[dict[str, Any]]) -> Figure:
    """Lines over the x that the view chose, with the margins, title and axis that all charts have."""
    # Fixed margins: with automargin plotly lays out every chart twice, once a second.
    xaxis: dict[str, Any] = {
        "title": {"text": X_TITLES[view.x], "font": {"size": 12}, "standoff": 8},
        "rangemode": "tozero",
        "automargin": False,
    }
    if view.x in ("tokens", "flops"):
        xaxis["tickformat"] = "~s"
    layout: dict[str, Any] = {
        "title": {"text": title, "font": {"size": 13}, "x": 0, "xanchor": "left", "y": 1, "yanchor": "top"},
        "height": height,
        "margin": {"l": 40, "r": 16, "t": 32, "b": 44},
        "hovermode": "x",
        "showlegend": False,
        "xaxis": xaxis,
        "yaxis": {"automargin": False},
        "uirevision": f"{view.x} {view.log}",  # a zoom that the person made survives the next second
    }
    if not any(line["x"] for line in lines):  # else plotly invents numbers for its axes
        for axis in ("xaxis", "yaxis"):
            layout[axis] |= {"showticklabels": False, "showgrid": False, "range": [0, 1]}
    return {"data": lines, "layout": layout}


def curve_line(points: Points, color: str, width: float, name: str, **more: Any) -> dict[str, Any]:
    """One curve, as plotly takes it; its name and four digits on hover."""
    x, y = points
    line = {"type": "scatter", "mode": "lines", "x": x, "y": y, "name": name, "line": {"color": color, "width": width}}
    return line | ({} if "hoverinfo" in more else {"hovertemplate": "%{y:.4g}"}) | more
