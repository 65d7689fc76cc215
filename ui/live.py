"""A run on the screen: drawn from its folder alone, once a second while it lives, and then no more.

Everything here also works for a run that another tab, the command line or another day has started.
"""

from collections.abc import Mapping
from pathlib import Path

import streamlit as st

from config.errors import RunError
from config.run_config import RunConfig
from config.sizes import count_parameters
from runs.baselines import overtaken_sentence, read_baselines
from runs.checkpoints import find_steps
from runs.folder import RunFolder, open_run
from runs.state import RunStatus, read_status
from ui import charts, expert_charts, plot, run_details, run_header, samples, uploads
from ui.charts import View
from ui.curves import X_COLUMNS, RunReader, read_run
from ui.settle import settle
from ui.states import steps_text, trained_elsewhere
from ui.words import count, literal

REFRESH_SECONDS = 1.0


def live_view(run: RunFolder) -> None:
    """The whole page of one run."""
    st.set_page_config(page_title=f"{run.read_label().name} · Train")
    status = read_status(run)
    fragment = st.fragment(_draw_live, run_every=REFRESH_SECONDS if status.live else None, key="live")
    with st.container(key="live_run"):
        fragment(run, drawn_live=status.live)
    run_details.draw(run)


def _draw_live(run: RunFolder, drawn_live: bool) -> None:
    settle()
    status = read_status(run)
    if drawn_live != status.live:
        st.rerun()  # once: only a full run starts the timer (after Resume) or ends it (the last state stays)
    reader = read_run(run, force=not status.live)
    config = read_config(run)
    run_header.draw_title(run, status, config)
    run_header.draw_message(status, names_of(run, status))
    if trained_elsewhere(status):
        _draw_imported(run, config)
        return
    if status.state == "queued" and not len(reader.metrics):
        _draw_waiting(status, config)
    else:
        _draw_progress(run, status, reader, config)
    run_details.draw_log(run, open_at_first=status.state in ("failed", "orphaned"))


def _draw_waiting(status: RunStatus, config: RunConfig | None) -> None:
    """What will be trained, in the place of charts that have nothing to show."""
    with st.container(border=True, key="waiting", gap="xsmall"):
        facts = [steps_text(status)]
        if config:
            facts += [f"batches of {config.training.batch_size:,}", f"on {shown_text(config.data.text_file)}"]
        st.markdown("**Waiting for its turn**")
        st.caption(literal(" · ".join(facts)))
        st.caption("The curves and the first text appear here with the first step.")


def _draw_imported(run: RunFolder, config: RunConfig | None) -> None:
    """There are no curves of a model that was trained elsewhere; there is a model to write with."""
    with st.container(border=True, key="imported", gap="xsmall"):
        st.markdown("**Imported: it was trained elsewhere**")
        try:
            size = f"{count(count_parameters(run.read_model_config()))} parameters"
        except RunError as error:
            size = str(error)
        source = [] if config is None else [config.data.text_file, f"{config.data.tokenizer_type} tokens"]
        st.caption(literal(" · ".join([size, *source])))


def has_checkpoint(run: RunFolder) -> bool:
    """Whether another run can begin from this one."""
    return bool(find_steps(run.path))


def shown_text(path: str) -> str:
    """training.txt; an upload is stored under a hash that says nothing."""
    return "an uploaded text" if Path(path).parent.name == uploads.FOLDER else path


def _draw_progress(run: RunFolder, status: RunStatus, reader: RunReader, config: RunConfig | None) -> None:
    """How far it is, the numbers, the curves and what it writes."""
    baselines = read_baselines(run)
    run_header.draw_progress(status, reader)
    run_header.draw_numbers(reader)
    with st.container(key="watch"):
        left, right = st.columns([2, 1], gap="medium")
    with left:
        with st.container(horizontal=True, vertical_alignment="center", border=False):
            st.markdown("**Loss** in nats per token", width="content")
            st.caption(overtaken_sentence(baselines, reader.metrics.evaluations), width="content")
            st.space("stretch")
            view = _choose_view()
        draw_charts(run, reader, view, baselines, config)
        expert_charts.draw(reader, view, config.model if config else None)
    with right:
        with st.container(horizontal=True, vertical_alignment="center", height=40, border=False):
            st.markdown(
                "**What it writes**", help="The same prompt and seed at every evaluation: only the model changes."
            )
        losses = {row.get("step", -1): row["val_loss_nats"] for row in reader.metrics.evaluations}
        samples.draw(reader.samples.samples, losses, height=charts.HEIGHT + charts.SMALL_HEIGHT)


def draw_charts(
    run: RunFolder, reader: RunReader, view: View, baselines: Mapping[str, float], config: RunConfig | None
) -> None:
    """The loss, large, and under it what explains it."""
    curves = reader.curves(view.x, view.smoothing)
    color = charts.run_color(run.read_label(), view.theme)
    figure = charts.loss_figure(curves, color, view, baselines)
    plot.show(figure, key="loss", alt=charts.describe_loss(curves))
    clip = config.training.grad_clip if config else 0.0
    small = (
        ("learning_rate", charts.rate_figure(curves, view), "Learning rate over the run."),
        ("grad_norm", charts.gradient_figure(curves, view, clip), "Norm of the gradient over the run."),
        ("speed", charts.speed_figure(curves, view), "Tokens per second over the run."),
    )
    for place, (key, chart, alt) in zip(st.columns(len(small)), small, strict=True):
        with place:
            plot.show(chart, key=key, alt=alt)


def _choose_view() -> View:
    """How to look at the curves; kept for the session, the same for every run."""
    with st.popover("View", icon=":material/tune:", key="view", type="tertiary"):
        x = st.segmented_control(
            "Horizontal axis",
            list(X_COLUMNS),
            default="step",
            required=True,
            key="view_x",
            persist_state="session",
        )
        smoothing = st.slider(
            "Smoothing", 0.0, 0.99, 0.9, 0.01, key="view_smoothing", persist_state="session",
            help="Share of the old average that each step keeps: 0 draws every step as it is, 0.9 averages about ten.",
        )  # fmt: skip
        log = st.toggle("Logarithmic loss", key="view_log", persist_state="session")
    return View(x=x or "step", log=log, smoothing=smoothing, theme=theme())


def theme() -> str:
    """light or dark, as the browser shows it."""
    return st.context.theme.type or "light"


def read_config(run: RunFolder) -> RunConfig | None:
    """The saved configuration; None where it cannot be read (`read_status` says so in words)."""
    try:
        return run.read_config()
    except RunError:
        return None


def names_of(run: RunFolder, status: RunStatus) -> dict[str, str]:
    """The name of the run that this one waits for."""
    if not status.queued_behind:
        return {}
    try:
        return {status.queued_behind: open_run(run.path.parent, status.queued_behind).read_label().name}
    except RunError:
        return {}
