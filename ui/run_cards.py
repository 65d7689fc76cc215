"""The latest runs as cards: name, state, steps, best validation loss and its curve so far."""

import contextlib
import math
from typing import Any

import streamlit as st

from config import presets
from config.errors import RunError
from config.sizes import count_parameters
from runs import folder
from runs.folder import RunFolder
from runs.state import read_status
from ui import charts, deleting, sparkline
from ui.curves import read_run
from ui.live import theme
from ui.states import STATES, steps_text, trained_elsewhere
from ui.words import count, counted, literal, number

SHOWN = 4  # more are behind an expander: every run can be found from here
CURVE_POINTS = 60
QUIET_DELTA: Any = {"delta_color": "off", "delta_arrow": "off"}


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
        with st.expander(counted(len(older), "older run")):
            for run in older:
                label = f"{literal(run.read_label().name)} · {read_status(run).state} · {run.id}"
                st.page_link("pages/train_model.py", label=label, query_params={"run": run.id})
    return True


def draw_card(run: RunFolder) -> None:
    """One run; a damaged one says so and stands in nobody's way."""
    status = read_status(run)
    words = STATES[status.state]
    with st.container(border=True, key=f"card-{run.id}", gap="xsmall", height="stretch"):
        with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
            st.page_link(
                "pages/train_model.py", label=f"**{literal(run.read_label().name)}**", query_params={"run": run.id}
            )
            st.space("stretch")
            st.badge(words.word, color=words.color, icon=words.icon, help=words.meaning)
            deleting.draw_button(run, live=status.live, label="")
        st.caption(f"{literal(title_of(run))} · {steps_text(status)}")
        if trained_elsewhere(status):
            draw_size(run)
            return
        title, loss, step = newest_loss(run)
        st.metric(title, number(loss), delta=f"at step {step:,.0f}" if loss is not None else None, **QUIET_DELTA)
        color = charts.run_color(run.read_label(), theme())
        sparkline.show(evaluations(run), color=color, key=f"curve-{run.id}", alt="Validation loss over the run.")


def draw_size(run: RunFolder) -> None:
    """What there is to tell of a model that was never trained here."""
    with contextlib.suppress(RunError):
        config = run.read_model_config()
        st.metric("Parameters", count(count_parameters(config)), delta=f"{config.d_vocab:,} tokens", **QUIET_DELTA)


def newest_loss(run: RunFolder) -> tuple[str, float | None, float]:
    """Name, value and step of the newest loss; validation counts more, unless it is from before the first step."""
    metrics = read_run(run).metrics
    checked, trained = (metrics.evaluations or [{}])[-1], metrics.last()
    if not checked.get("step") and trained.get("step"):
        return "Train loss", trained.get("train_loss_nats"), trained["step"]
    return "Validation loss", checked.get("val_loss_nats"), checked.get("step", 0)


def title_of(run: RunFolder) -> str:
    """LLaMA tiny, or what can be said of a run whose configuration cannot be read."""
    try:
        config = run.read_config()
    except RunError:
        return "configuration unreadable"
    return presets.title_of(config.preset, config.size) or "own architecture"


def evaluations(run: RunFolder) -> list[float]:
    """Validation losses in the order they were measured, thinned to what a card can show."""
    found = [row["val_loss_nats"] for row in read_run(run).metrics.evaluations]
    finite = [loss for loss in found if math.isfinite(loss)]
    return finite[:: max(1, len(finite) // CURVE_POINTS)]
