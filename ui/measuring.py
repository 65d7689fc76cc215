"""Measure first: real steps of the training that the form describes, and what they say about time, memory and disk."""

import html
from concurrent.futures import Future
from dataclasses import dataclass

import streamlit as st

from config.run_config import RunConfig
from runs import folder
from ui import engines, form
from ui.engines import Measurement
from ui.words import duration, file_size, literal, number

LOOK_SECONDS = 0.5
WANTED = "measuring"  # session key
VERDICTS = {
    "fits": ("Fits.", ":material/check_circle:"),
    "tight": ("Tight: it takes more than 60 % of what is free now.", ":material/warning:"),
    "does not fit": ("Does not fit.", ":material/block:"),
}


@dataclass(frozen=True)
class Trial:
    """What is being measured, or was: the answer belongs to this configuration and to no other."""

    config: RunConfig
    answer: Future[Measurement]


def draw_button(config: RunConfig | None) -> None:
    """The quiet button beside Start."""
    trial: Trial | None = st.session_state.get(WANTED)
    busy = trial is not None and not trial.answer.done()
    st.button(
        "Measure first", icon=":material/speed:", key="measure", disabled=config is None or busy,
        on_click=_begin, args=(config,),
        help="Makes real steps of this training for a few seconds, and says how long it will take and whether it fits. "
        "Nothing is kept. Typical: 10 seconds.",
    )  # fmt: skip


def draw_answer(config: RunConfig | None) -> None:
    """The answer below the buttons: pale as soon as the form says something else."""
    trial: Trial | None = st.session_state.get(WANTED)
    if trial is None:
        return
    if not trial.answer.done():
        st.fragment(_wait, run_every=LOOK_SECONDS, key="measuring_wait")(trial)
        return
    measured = trial.answer.result()
    stale = config != trial.config
    with st.container(key="measured_stale" if stale else "measured", gap="xsmall"):
        if stale:
            st.caption(":material/history: **Out of date:** the form has changed since this was measured.")
        if measured.problem:
            st.error(literal(measured.problem), icon=":material/error:")
            return
        sentence, icon = VERDICTS[measured.verdict]
        (st.caption if stale else st.markdown)(f"{icon} **{sentence}**")
        if measured.ran_out:
            _draw_way_out(measured, trial.config, stale)
        else:
            st.html(facts(measured))


def _begin(config: RunConfig) -> None:
    st.session_state[WANTED] = Trial(config, engines.measure(config, folder.CHECKPOINTS))


def _wait(trial: Trial) -> None:
    if trial.answer.done():
        st.rerun()
    st.status("Making real steps of this training …", state="running")


def facts(measured: Measurement) -> str:
    """Time, memory, disk, speed and passes, side by side."""
    low, high = measured.interval
    shown = {
        "time": f"{duration(measured.seconds)} ({duration(low)} to {duration(high)})",
        "memory": f"{file_size(measured.memory_bytes)} of {file_size(measured.free_memory_bytes)}",
        "disk": f"{file_size(measured.disk_bytes)} of {file_size(measured.free_disk_bytes)}",
        "speed": f"{number(measured.tokens_per_second, 3)} tokens/s",
        "epochs": number(measured.epochs, 2),
    }
    parts = "".join(f"<span><b>{html.escape(value)}</b>{name}</span>" for name, value in shown.items())
    return f'<div class="singles">{parts}</div>'


def _draw_way_out(measured: Measurement, config: RunConfig, stale: bool) -> None:
    batch, parts = config.training.batch_size, measured.suggested_accumulation
    ran_out = f"A step ran out of the {file_size(measured.free_memory_bytes)} of memory that are free."
    if parts is None:
        st.caption(f"{ran_out} Take a smaller width, fewer layers or a shorter context.")
        return
    st.caption(
        f"{ran_out} In {parts} micro-batches of {batch // parts} it fits: the same batch, the same curve, "
        "a little more time."
    )
    st.button(
        f"Accumulate gradients over {parts} micro-batches", key="accumulate", icon=":material/call_split:",
        disabled=stale, on_click=form.write, args=("training", {"grad_accumulation": parts}),
        help="Sets Training, gradient accumulation. Typical: 1, and more only where memory is short.",
    )  # fmt: skip
