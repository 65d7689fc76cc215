"""Plotly figures of one run: the loss, large, and three small ones that explain it.

Colours of text, grid and background are left to Streamlit's chart theme, so one figure serves light and dark; only the
lines have colours of their own, chosen to be told apart by colour-blind eyes and on both backgrounds.
"""

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import plotly.graph_objects as go

from ui.curves import Curves, Points
from ui.words import number

# The same as chartCategoricalColors in .streamlit/config.toml (a test compares them).
RUN_COLORS = {
    "light": ("#0f766e", "#cc5a2b", "#4477aa", "#aa3377", "#8a7a10", "#3d8b3d", "#66608f", "#777777"),
    "dark": ("#2dd4bf", "#f28e5c", "#77aadd", "#ee8fc0", "#ddcc77", "#88cc88", "#aaa4dd", "#aaaaaa"),
}
INK = {"light": "#26241f", "dark": "#ece9e4"}
QUIET = "#8a867d"
WARNING = {"light": "#cc5a2b", "dark": "#f28e5c"}

X_TITLES = {"step": "step", "tokens": "tokens seen", "time": "training time (seconds)"}
HEIGHT, SMALL_HEIGHT = 416, 192
CONFIG = {"displaylogo": False, "displayModeBar": False}


@dataclass(frozen=True)
class View:
    """How a person wants to look at the curves."""

    x: str = "step"  # step, tokens or time
    log: bool = False
    smoothing: float = 0.95  # share of the old average that each step keeps; 0 is off
    theme: str = "light"


def run_color(run_id: str, theme: str = "light") -> str:
    """The colour of a run, the same on every page and in every session."""
    colors = RUN_COLORS[theme]
    return colors[zlib.crc32(run_id.encode()) % (len(colors) - 1)]  # the last is a grey, too quiet for a run


def loss_figure(curves: Curves, color: str, view: View, baselines: Mapping[str, float] | None = None) -> go.Figure:
    """Train loss raw (faint) and smoothed (bold), validation loss with its points, baselines as thin labelled lines."""
    figure = _figure("", HEIGHT, view)
    if curves.smoothed is None:
        figure.add_trace(_line(curves.train, color, 1.5, "train"))
    else:
        raw = _line(curves.train, color, 1, "train, each step")
        figure.add_trace(raw.update(opacity=0.3, hoverinfo="skip", hovertemplate=None, showlegend=False))
        figure.add_trace(_line(curves.smoothed, color, 2.5, "train"))
    ink = INK[view.theme]
    validation = _line(curves.validation, ink, 1.5, "validation")
    figure.add_trace(validation.update(mode="lines+markers", marker={"color": ink, "size": 6}, cliponaxis=False))
    for name, nats in (baselines or {}).items():
        _add_level(figure, nats, baseline_title(name), QUIET, view.log)
    figure.update_layout(
        hovermode="x unified", showlegend=True,
        legend={"orientation": "h", "y": 1, "yanchor": "bottom", "x": 0, "xanchor": "left", "font": {"size": 13}},
    )  # fmt: skip
    return figure.update_yaxes(type="log", dtick="D2") if view.log else figure


def rate_figure(curves: Curves, view: View) -> go.Figure:
    """The learning rate: warm-up, then decay."""
    figure = _figure("Learning rate", SMALL_HEIGHT, view)
    figure.add_trace(_line(curves.learning_rate, QUIET, 1.5, "learning rate"))
    return figure.update_yaxes(rangemode="tozero", exponentformat="e", tickformat=".1~e", nticks=4)


def gradient_figure(curves: Curves, view: View, clip: float) -> go.Figure:
    """The gradient's norm before clipping, and the length that clipping leaves."""
    color = WARNING[view.theme]
    note = f" <span style='font-weight:400;color:{color}'>clip {clip:g}</span>" if clip else ""
    figure = _figure(f"Gradient norm{note}", SMALL_HEIGHT, view)
    figure.add_trace(_line(curves.grad_norm, QUIET, 1, "gradient norm"))
    if clip:
        figure.add_hline(y=clip, line={"color": color, "width": 1.5, "dash": "dot"})
    return figure.update_yaxes(rangemode="tozero", nticks=4)


def speed_figure(curves: Curves, view: View) -> go.Figure:
    """Tokens trained on in each second."""
    figure = _figure("Tokens per second", SMALL_HEIGHT, view)
    figure.add_trace(_line(curves.tokens_per_second, QUIET, 1.5, "tokens/s"))
    return figure.update_yaxes(rangemode="tozero", nticks=4, tickformat="~s")


def baseline_title(key: str) -> str:
    """`ngram_2_nats` as people say it: bigram."""
    name = key.removesuffix("_nats")
    if not name.startswith("ngram_"):
        return name
    order = name.removeprefix("ngram_")
    return {"1": "unigram", "2": "bigram", "3": "trigram"}.get(order, f"{order}-gram")


def describe_loss(curves: Curves) -> str:
    """The loss chart in a sentence, for those who cannot see it."""
    steps, losses = curves.smoothed or curves.train
    if not steps:
        return "Loss chart, still empty: the run has not trained a step yet."
    text = f"Loss chart. Train loss from {number(losses[0], 3)} to {number(losses[-1], 3)}"
    return f"{text}; last validation loss {number(curves.validation[1][-1], 3)}." if curves.validation[1] else text + "."


def _figure(title: str, height: int, view: View) -> go.Figure:
    figure = go.Figure()
    figure.update_layout(
        title={"text": title, "font": {"size": 13}, "x": 0, "xanchor": "left", "y": 1, "yanchor": "top"},
        height=height, margin={"l": 40, "r": 8, "t": 32, "b": 44}, hovermode="x", showlegend=False,
        uirevision=f"{view.x} {view.log}",  # a zoom that the person made survives the next second
    )  # fmt: skip
    # Fixed margins: with automargin plotly lays out every chart twice, once a second.
    figure.update_xaxes(
        title={"text": X_TITLES[view.x], "font": {"size": 12}, "standoff": 8}, rangemode="tozero", automargin=False
    )
    figure.update_yaxes(automargin=False)
    if view.x == "tokens":
        figure.update_xaxes(tickformat="~s")
    return figure


def _line(points: Points, color: str, width: float, name: str) -> go.Scatter:
    x, y = points
    return go.Scatter(
        x=x, y=y, name=name, mode="lines", line={"color": color, "width": width}, hovertemplate="%{y:.4g}"
    )


def _add_level(figure: go.Figure, y: float, text: str, color: str, log: bool) -> None:
    """A thin dotted line over the whole width, with its name above its right end."""
    figure.add_hline(y=y, line={"color": color, "width": 1, "dash": "dot"})
    figure.add_annotation(
        x=1, xref="paper", xanchor="right", y=math.log10(y) if log else y, yanchor="bottom", showarrow=False,
        text=text, font={"size": 11, "color": color},
    )  # fmt: skip
