"""The top of a run: its name, state, progress, headline numbers, and what can be done to it."""

import math
from collections.abc import Callable, Mapping
from functools import partial

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from config.errors import RunError
from config.presets import changed_fields, title_of
from config.run_config import RunConfig
from runs import control, launch
from runs.folder import RunFolder
from runs.state import RunStatus
from ui.curves import RunReader
from ui.states import STATES, remaining_text, share_done, steps_text
from ui.words import count, literal, number

NUMBER_HEIGHT = 88  # also while there is nothing below the number yet: the charts must not jump
GENERATE = "pages/generate_text.py"
PROBLEM = "run_problem"  # session key: why the last click on a button here did nothing


def model_title(config: RunConfig) -> str:
    """What kind of model a run trains: LLaMA tiny; LLaMA tiny, modified."""
    title = title_of(config.preset, config.size)
    if title is None:
        return "Custom model"
    modified = config.preset and config.size and changed_fields(config.model, config.preset, config.size)
    return f"{title}, modified" if modified else title


def draw_title(run: RunFolder, status: RunStatus, config: RunConfig | None) -> None:
    """Name and state on the left, buttons on the right, the kind of model and the id below."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="run_title"):
        st.title(literal(run.read_label().name), anchor=False, width="content")
        words = STATES[status.state]
        st.badge(words.word, icon=words.icon, color=words.color, help=words.meaning)
        st.space("stretch")
        _draw_buttons(run, status)
    facts = [model_title(config), *_origin(run, config)] if config else []
    st.caption(" · ".join([*facts, run.id]))


def _origin(run: RunFolder, config: RunConfig) -> list[str]:
    """What a run began from, and whether adapters are trained."""
    found = [f"LoRA of rank {config.lora.lora_rank}"] if config.lora.is_on else []
    if config.parent:
        parent = RunFolder(run.path.parent / config.parent.run)
        name = literal(parent.read_label().name) if parent.path.is_dir() else f"run {config.parent.run}, deleted since"
        found.insert(0, f"from step {config.parent.step:,} of {name}")
    return found


def _draw_buttons(run: RunFolder, status: RunStatus) -> None:
    asked = control.requested(run)
    # A place for each button: while the page is redrawn, nobody sees Pause beside Resume.
    going, ending, writing = st.empty(), st.empty(), st.empty()
    with going:
        if status.state == "paused":
            _button("Resume", ":material/play_arrow:", partial(control.clear, run, "pause"), primary=True)
        elif status.state in ("running", "starting"):
            waiting = "pause" in asked
            action = partial(control.request, run, "pause")
            _button("Pausing…" if waiting else "Pause", ":material/pause:", action, disabled=waiting)
        elif can_go_on(status):
            _button("Resume", ":material/play_arrow:", partial(launch.resume, run), primary=True)
    if status.live:
        waiting = "stop" in asked or status.state == "stopping"
        action = partial(control.request, run, "stop")
        with ending:
            label = "Cancel" if saves_nothing(status) else "Stop and save"
            _button("Stopping…" if waiting else label, ":material/stop:", action, disabled=waiting)
    if status.last_checkpoint:
        # A link, which the browser follows by itself: a button's click could meet the end of the run and its timer.
        with writing.container(key="run_generate", width="content"):
            st.page_link(GENERATE, label="Generate text", icon=":material/edit_note:", query_params={"run": run.id})


def saves_nothing(status: RunStatus) -> bool:
    """Whether a stop would end the run before there is anything to save."""
    return status.state in ("queued", "starting") and not status.step


def can_go_on(status: RunStatus) -> bool:
    """Whether a new worker would get further: one that failed before its first step would fail there again."""
    return status.resumable and not (status.state == "failed" and not status.step and not status.last_checkpoint)


def _button(
    label: str, icon: str, action: Callable[[], object], *, primary: bool = False, disabled: bool = False
) -> None:
    st.button(
        label, icon=icon, key=f"run_{label.split()[0].rstrip('…').lower()}", on_click=_act, args=(action,),
        type="primary" if primary else "secondary", disabled=disabled,
    )  # fmt: skip


def _act(action: Callable[[], object]) -> None:
    """What a button does; a refusal is kept for `draw_message`, because a callback cannot draw."""
    try:
        action()
        st.session_state.pop(PROBLEM, None)
    except (RunError, OSError) as error:
        st.session_state[PROBLEM] = str(error)


def draw_message(status: RunStatus, names: Mapping[str, str]) -> None:
    """What a person must know about the state, and what to do next; nothing while all is well."""
    if problem := st.session_state.pop(PROBLEM, None):
        st.warning(literal(problem), icon=":material/error:")
    reason = literal(status.reason[:1].upper() + status.reason[1:])
    if status.state == "failed":
        st.error(
            f"**The run failed at step {status.step:,}.** {reason}  \n{_next_action(status)}", icon=":material/error:"
        )
    elif status.state == "orphaned":
        st.error(f"**The process of this run is gone.** {reason}  \n{_next_action(status)}", icon=":material/link_off:")
    elif status.state == "unreadable":
        st.error(f"**The files of this run cannot be read.** {reason}", icon=":material/broken_image:")
    elif status.state == "stalled":
        st.warning(f"{reason} It may be swapping memory, or waiting for a disk.", icon=":material/hourglass_disabled:")
    elif status.state == "queued" and status.queued_behind:
        name = literal(names.get(status.queued_behind, status.queued_behind))
        st.info(
            f"Queued behind **{name}**. It starts by itself; this page may be closed.", icon=":material/hourglass_top:"
        )


def _next_action(status: RunStatus) -> str:
    if status.last_checkpoint:
        kept = literal(status.last_checkpoint)
        return f"Nothing up to {kept} is lost: **Resume** goes on from there. The log below says more."
    if not can_go_on(status):
        return "It would fail again: start a new run with other settings. The log below says more."
    return "There is no checkpoint yet: **Resume** starts again from step 0. The log below says more."


def draw_progress(status: RunStatus, reader: RunReader) -> None:
    """How far it is, and how long it still takes."""
    elapsed = reader.metrics.last().get("elapsed_seconds", 0.0)
    remaining = remaining_text(status, reader.seconds_per_step(status.step), elapsed)
    st.progress(share_done(status), text=" · ".join(part for part in (steps_text(status), remaining) if part))


def draw_numbers(reader: RunReader) -> None:
    """The headline: what is best so far, what is now, and how fast it goes; at the end, of the whole split."""
    last, evaluations = reader.metrics.last(), reader.metrics.evaluations
    now = evaluations[-1] if evaluations else {}
    best = best_evaluation(evaluations)
    trained = last.get("train_loss_nats")
    columns = st.columns(5)
    _number(columns[0], "Validation loss", now.get("val_loss_nats"), _whole(now, "val_split_loss_nats") or _at(now))
    _number(columns[1], "Bits per byte", now.get("val_bits_per_byte"), _whole(now, "val_split_bits_per_byte"))
    _number(columns[2], "Best validation", best.get("val_loss_nats"), _at(best))
    _number(columns[3], "Train loss", trained, f"perplexity {number(math.exp(min(trained, 50)))}" if trained else "")
    speed, seen = last.get("tokens_per_second"), last.get("tokens_seen")
    _number(columns[4], "Tokens per second", speed, f"{count(seen)} tokens seen" if seen else "", digits=3)


def _number(place: DeltaGenerator, label: str, value: float | None, note: str, digits: int = 4) -> None:
    with place:
        st.metric(
            label, number(value, digits), delta=note or None, delta_color="off", delta_arrow="off", height=NUMBER_HEIGHT
        )


def _at(evaluation: Mapping[str, float]) -> str:
    return f"at step {evaluation['step']:,.0f}" if "step" in evaluation else ""


def _whole(evaluation: Mapping[str, float], name: str) -> str:
    """The exact number behind an estimate from some batches, which the last evaluation of a run has."""
    return f"whole split {number(evaluation[name])}" if name in evaluation else ""


def best_evaluation(evaluations: list[dict[str, float]]) -> dict[str, float]:
    """The evaluation with the lowest finite loss; empty before the first."""
    finite = [row for row in evaluations if math.isfinite(row.get("val_loss_nats", math.nan))]
    return min(finite, key=lambda row: row["val_loss_nats"], default={})
