"""The ticked runs: their curves on one chart, and beside it what each of them is and can be asked to do."""

from collections.abc import Sequence

import streamlit as st

from runs.race import compare_batches
from runs.state import read_status
from runs.summaries import Summary, change_sentence
from ui import charts, comparison_charts, plot, racing, run_labels
from ui.charts import View
from ui.comparison_charts import KINDS, UNITS, Overlay
from ui.curves import read_run
from ui.live import theme
from ui.picked import Picked
from ui.settle import settle
from ui.states import STATES
from ui.words import literal, number

REFRESH_SECONDS = 1.0
MOST_DRAWN = 12  # curves on one chart; as many readers are kept (ui/curves.py)
X_NAMES = {"step": "step", "tokens": "tokens", "time": "time", "flops": "FLOPs"}


def draw(picked: Picked) -> None:
    """Chart on the left, a card for each run on the right."""
    drawn = picked.chosen[:MOST_DRAWN]
    live = any(summary.status.live for summary in drawn)
    with st.container(key="overlay"):
        left, right = st.columns([5, 3], gap="medium")
    with left:
        overlay = _choose(drawn)
        st.fragment(_draw_chart, run_every=REFRESH_SECONDS if live else None, key="overlay_chart")(drawn, overlay)
        with st.container(horizontal=True, vertical_alignment="center", key="overlay_race"):
            st.caption(_batches(drawn), width="content")
            st.space("stretch")
            racing.draw_race(picked)
        if len(picked.chosen) > len(drawn):
            st.caption(f"The newest {len(drawn)} of the {len(picked.chosen)} ticked runs are drawn.")
    with right, st.container(key="overlay_cards", gap="small"):
        for summary, dash in zip(drawn, comparison_charts.dashes(drawn), strict=True):
            _draw_card(summary, picked.reference, dash)


def _choose(drawn: Sequence[Summary]) -> Overlay:
    """What to draw over what; the rest behind View."""
    tokenizers = {(s.config.data.tokenizer_type, s.model.d_vocab) for s in drawn if s.config and s.model}
    with st.container(horizontal=True, vertical_alignment="center", key="overlay_controls"):
        kind = st.segmented_control(
            "Curve", KINDS, default="validation", required=True, key="overlay_kind", persist_state="session",
            label_visibility="collapsed",
        )  # fmt: skip
        st.space("stretch")
        st.caption("over", width="content")
        x = st.segmented_control(
            "Horizontal axis", list(X_NAMES), default="step", required=True, key="overlay_x", persist_state="session",
            format_func=X_NAMES.__getitem__, label_visibility="collapsed",
        )  # fmt: skip
        with st.popover("View", icon=":material/tune:", key="overlay_view", type="tertiary"):
            unit = st.segmented_control(
                "Unit", list(UNITS), default="bits" if len(tokenizers) > 1 else "nats", required=True,
                key=f"overlay_unit_{len(tokenizers) > 1}", persist_state="session", format_func=UNITS.__getitem__,
                help="A token of one tokenizer is not one of another: between tokenizers only bits per byte compare.",
            )  # fmt: skip
            smoothing = st.slider(
                "Smoothing of train losses", 0.0, 0.99, 0.9, 0.01, key="overlay_smoothing", persist_state="session",
                help="Share of the old average that each step keeps. Typical: 0.9, about ten steps.",
            )  # fmt: skip
            log = st.toggle("Logarithmic loss", key="overlay_log", persist_state="session")
            log_x = st.toggle("Logarithmic horizontal axis", key="overlay_log_x", persist_state="session")
    view = View(x=x or "step", log=log, smoothing=smoothing, theme=theme())
    return Overlay(view, kind or "validation", unit or "nats", log_x)


def _draw_chart(drawn: Sequence[Summary], overlay: Overlay) -> None:
    """The curves, once a second while one of them grows; a new state or a better loss redraws cards and table, too."""
    settle()
    if any(_is_news(summary) for summary in drawn):
        st.rerun()
    readers = [read_run(summary.run, force=not summary.status.live) for summary in drawn]
    figure = comparison_charts.overlay_figure(drawn, readers, overlay)
    plot.show(figure, key="overlay_plot", alt=comparison_charts.describe(drawn, overlay), download="comparison")


def _is_news(summary: Summary) -> bool:
    """Whether a live run has another state or a better loss than the page shows."""
    if not summary.status.live:
        return False
    now = read_status(summary.run)
    return (now.state, now.best_val_loss_nats) != (summary.status.state, summary.best_loss_nats)


def _batches(drawn: Sequence[Summary]) -> str:
    """Whether all of them read the same batches."""
    return compare_batches([read_run(summary.run).metrics for summary in drawn]).sentence if len(drawn) > 1 else ""


def _draw_card(summary: Summary, reference: Summary, dash: str) -> None:
    """Colour, name and state; what changed; how good it is."""
    with st.container(key=f"compared-{summary.run.id}", gap="xxsmall"):
        with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
            color = charts.run_color(summary.label, theme())
            st.html(f'<i class="swatch {dash}" style="border-color:{color}"></i>', width="content")
            star = ":material/star: " if summary.label.star else ""
            st.markdown(f"{star}**{literal(summary.label.name)}**", width="content")
            if summary.status.state != "finished":
                words = STATES[summary.status.state]
                st.badge(words.word, color=words.color, help=words.meaning)
            st.space("stretch")
            run_labels.draw_menu(summary)
        st.caption(literal(change_sentence(reference, summary)))
        st.caption(_numbers(summary, reference))
        if summary.label.note:
            st.caption(f":material/notes: {literal(summary.label.note)}")


def _numbers(summary: Summary, reference: Summary) -> str:
    """Best loss in both units, and how far that is from the reference."""
    if summary.best_loss_nats is None:
        return "no evaluation yet"
    parts = [f"**{number(summary.best_loss_nats)}** nats"]
    if summary.best_bits_per_byte is not None:
        parts.append(f"{number(summary.best_bits_per_byte)} bits/byte")
        if summary.run != reference.run and reference.best_bits_per_byte is not None:
            more = summary.best_bits_per_byte - reference.best_bits_per_byte
            words = f"{number(abs(more), 3)} {'more' if more > 0 else 'less'} than the reference"
            parts.append(words if more else "the same as the reference")
    return " · ".join(parts)
