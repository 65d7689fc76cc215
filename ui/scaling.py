"""Scaling over sizes: loss against parameters and training FLOPs, and one click that queues a preset's sizes."""

import html
from collections.abc import Sequence
from typing import Any

import streamlit as st

from config.presets import SIZES, is_preset, load_preset, preset_info
from config.run_config import RunConfig
from config.sizes import count_parameters
from runs import race
from runs.summaries import Summary
from ui import charts, plot, racing
from ui.charts import Figure
from ui.live import theme
from ui.picked import Picked
from ui.words import count, literal

HEIGHT = 320
AXES = {"parameters": "parameters", "flops": "training FLOPs (floating-point operations)"}
FIRST_SIZES = ("tiny", "small")


def draw(picked: Picked) -> None:
    """What the ticked runs say, then what could be trained."""
    known = [summary for summary in picked.chosen if summary.flops and summary.best_bits_per_byte]
    if len(known) < 2:
        st.caption("Tick at least two runs with an evaluation, best of one architecture in several sizes.")
    else:
        for place, axis in zip(st.columns(len(AXES), gap="medium"), AXES, strict=True):
            with place:
                chart = figure(known, axis, theme())
                plot.show(chart, key=f"scaling_{axis}", alt=describe(known, axis), download=f"scaling-{axis}")
    _draw_form(picked.reference)


def figure(summaries: Sequence[Summary], axis: str, theme: str) -> Figure:
    """The best loss of each run over its size or its cost, both axes logarithmic, each run in its colour."""
    marks = [
        {
            "type": "scatter", "mode": "markers+text", "x": [getattr(summary, axis)], "y": [summary.best_bits_per_byte],
            "name": html.escape(summary.label.name), "text": [html.escape(summary.label.name)],
            "textposition": "top center", "textfont": {"size": 11}, "cliponaxis": False,
            "marker": {"size": 12, "color": charts.run_color(summary.label, theme)},
            "hovertemplate": "%{y:.4f} bits per byte<br>%{x:.4s} " + axis + "<extra>%{fullData.name}</extra>",
        }
        for summary in summaries
    ]  # fmt: skip
    title = f"Best loss <span style='font-weight:400'>in bits per byte, over {AXES[axis].split(' (')[0]}</span>"
    layout = {
        "title": {"text": title, "font": {"size": 13}, "x": 0, "xanchor": "left", "y": 1, "yanchor": "top"},
        "height": HEIGHT, "margin": {"l": 52, "r": 24, "t": 36, "b": 48}, "hovermode": "closest", "showlegend": False,
        "xaxis": {"type": "log", "title": {"text": AXES[axis], "font": {"size": 12}}, "tickformat": "~s", "nticks": 6},
        "yaxis": {"type": "log", "nticks": 6, "tickformat": "~g"},
    }  # fmt: skip
    return {"data": [*_trends(summaries, axis), *marks], "layout": layout}


def _trends(summaries: Sequence[Summary], axis: str) -> list[dict[str, Any]]:
    """A thin line through the runs of each scaling study: through others it would say what nobody has measured."""
    found: list[dict[str, Any]] = []
    for group in sorted({summary.group or "" for summary in summaries}):
        if not group.startswith("scaling "):
            continue
        points = sorted((getattr(s, axis), s.best_bits_per_byte) for s in summaries if s.group == group)
        if len({x for x, _ in points}) > 1:
            line = {"color": charts.QUIET, "width": 1, "dash": "dot"}
            x, y = [x for x, _ in points], [y for _, y in points]
            found.append({"type": "scatter", "mode": "lines", "x": x, "y": y, "line": line, "hoverinfo": "skip"})
    return found


def describe(summaries: Sequence[Summary], axis: str) -> str:
    """The chart in a sentence, for those who cannot see it."""
    parts = [f"{s.label.name} {s.best_bits_per_byte:.3f} at {count(getattr(s, axis))}" for s in summaries]
    return f"Best bits per byte over {axis}: {', '.join(parts)}."


def _draw_form(reference: Summary) -> None:
    """Which sizes of the reference's configuration to train, and the button."""
    config = reference.config
    if config is None or config.preset is None or not is_preset(config.preset):
        st.caption("The reference has an architecture of its own: only a preset comes in several sizes.")
        return
    with st.container(border=True, key="scaling_form"):
        title, name = preset_info(config.preset).title, literal(reference.label.name)
        st.markdown(f"**{title} at several sizes**, with the text, steps and changes of **{name}**")
        with st.container(horizontal=True, vertical_alignment="bottom"):
            sizes = st.pills(
                "Sizes", SIZES, selection_mode="multi", default=FIRST_SIZES, key="scaling_sizes",
                persist_state="session", format_func=lambda size: f"{size} · {_parameters(config, size)}",
                help="All read the same batches, with the context of the smallest. Typical: tiny and small.",
            )  # fmt: skip
            steps = racing.ask_steps(config, "scaling_steps")
            place = st.container(width="content")
        entries = racing.attempt(lambda: race.at_sizes(race.with_steps(config, steps), sizes or ()))
        place.button(
            f"Train {len(entries) or 'no'} sizes", icon=":material/stacked_line_chart:", type="primary",
            key="start_scaling", disabled=not entries, on_click=racing.start,
            args=(entries, "scaling", [entry.config.size or "" for entry in entries]),
        )  # fmt: skip
        racing.tell_problem()


def _parameters(config: RunConfig, size: str) -> str:
    vocabulary = config.data.expected_vocabulary
    return count(count_parameters(load_preset(config.preset or "", size).replace(d_vocab=vocabulary)))
