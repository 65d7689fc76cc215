"""The latest runs as cards: name, state, steps, best validation loss and its curve so far."""

import math

import streamlit as st

from config.errors import RunError
from config.presets import PRESET_NAMES, preset_info
from runs import folder
from runs.folder import RunFolder
from runs.state import read_status
from ui.curves import read_run
from ui.states import STATES, steps_text
from ui.words import literal, number

SHOWN = 4  # more are behind an expander: every run can be found from here
CURVE_POINTS = 60


def draw() -> bool:
    """The cards; False where there are no runs yet."""
    runs = folder.list_runs(folder.CHECKPOINTS)
    if not runs:
        return False
    with st.container(key="cards"):
        columns = st.columns(SHOWN)
    for column, run in zip(columns, runs, strict=False):
        with column:
            draw_card(run)
    if older := runs[SHOWN:]:
        with st.expander(f"{len(older)} older runs"):
            for run in older:
                label = f"{literal(run.read_label().name)} · {read_status(run).state} · {run.id}"
                st.page_link("pages/train_model.py", label=label, query_params={"run": run.id})
    return True


def draw_card(run: RunFolder) -> None:
    """One run; a damaged one says so and stands in nobody's way."""
    status = read_status(run)
    words = STATES[status.state]
    losses = evaluations(run)
    with st.container(border=True, key=f"card-{run.id}", gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            st.page_link(
                "pages/train_model.py", label=f"**{literal(run.read_label().name)}**", query_params={"run": run.id}
            )
            st.badge(words.word, color=words.color, icon=words.icon, help=words.meaning)
        st.caption(f"{literal(title_of(run))} · {steps_text(status)}")
        best = min(losses, default=None)
        st.metric(
            "Best validation loss", number(best), chart_data=losses if len(losses) > 1 else None, chart_type="line"
        )


def title_of(run: RunFolder) -> str:
    """LLaMA tiny, or what can be said of a run whose configuration cannot be read."""
    try:
        config = run.read_config()
    except RunError:
        return "configuration unreadable"
    title = preset_info(config.preset).title if config.preset in PRESET_NAMES else "own architecture"
    return f"{title} {config.size or ''}".strip()


def evaluations(run: RunFolder) -> list[float]:
    """Validation losses in the order they were measured, thinned to what a card can show."""
    found = [row["val_loss_nats"] for row in read_run(run).metrics.evaluations]
    finite = [loss for loss in found if math.isfinite(loss)]
    return finite[:: max(1, len(finite) // CURVE_POINTS)]
