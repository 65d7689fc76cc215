"""What Look inside looks at: a run, one of its steps, and a text; chosen once, above all views."""

from dataclasses import dataclass

import streamlit as st

from runs.checkpoints import list_checkpoints
from runs.folder import RunFolder
from ui import form, generation_engine, run_picker
from ui import inside_engine as engine
from ui.curves import read_run
from ui.inside_engine import Look
from ui.words import literal, number

TEXT = "inside_text"
OFFERED = "inside_text_offered"  # session key: the text that was put there for the person
FALLBACK = "The king has a promise to keep."
OFFERED_CHARACTERS = 64
LONGEST = 4_000  # characters


@dataclass(frozen=True)
class Sight:
    """A checkpoint and a text that can be looked at."""

    look: Look
    names: tuple[str, ...]
    """Each token for the eye."""

    label: str
    """Run and step."""


def draw() -> Sight | None:
    """Text, run and step; None, with the reason on the page, while there is nothing to look at."""
    runs = run_picker.runs_with_checkpoints()
    place = st.container()
    with st.container(key="inside_subject"):
        left, right = st.columns([3, 5], gap="medium", vertical_alignment="bottom")
    with left:
        run = run_picker.pick_run(runs)
    with right:
        path = _pick_step(run)
    st.set_page_config(page_title=f"{run.read_label().name} · Look inside")
    with place:
        text = _draw_text(run)
    if path is None:
        return None
    try:
        stamp = generation_engine.checkpoint_stamp(path)
        reading = engine.read_text(path, stamp, text)
        label = engine.label_of(path)
    except ValueError as error:  # checkpoint or run: each has its sentence
        st.error(literal(str(error)), icon=":material/error:")
        return None
    if reading.problem:
        form.show_problem(reading.problem)
        return None
    tokens = f"{len(reading.tokens):,} tokens"
    if reading.left_out:
        tokens = f"the first {len(reading.tokens):,} of {len(reading.tokens) + reading.left_out:,} tokens"
    st.caption(literal(f"{label} · {tokens}"))
    return Sight(Look(path, stamp, reading.tokens), reading.names, label)


def _draw_text(run: RunFolder) -> str:
    """The text, at first a piece of what the run wrote; one that was never changed follows the run."""
    offered = _sample_of(run)
    if st.session_state.get(TEXT) in (None, st.session_state.get(OFFERED)):
        st.session_state[TEXT] = st.session_state[OFFERED] = offered
    return st.text_area(
        "Text", key=TEXT, height=104, max_chars=LONGEST, persist_state="session",
        help=f"What the model reads. Up to {engine.MOST_TOKENS} tokens are looked at. Typical: a sentence or two.",
    )  # fmt: skip


def _sample_of(run: RunFolder) -> str:
    """The beginning of the newest text of a run, which its tokenizer can surely read."""
    samples = read_run(run).samples.samples
    text = str(samples[-1].get("text", "")).strip() if samples else ""
    return text[:OFFERED_CHARACTERS].rsplit(" ", 1)[0] or FALLBACK


def _pick_step(run: RunFolder) -> str | None:
    """A slider over the checkpoints that verify, at first on the best; None where there is none."""
    checkpoints = list_checkpoints(run)
    sound = run_picker.order(checkpoints)
    if not sound:
        why = checkpoints[-1].problem if checkpoints else "It saves one on its way, and at the end."
        st.error(f"No checkpoint of this run can be used. {literal(why)}", icon=":material/block:")
        return None
    by_step = {info.step: info for info in sorted(sound, key=lambda info: info.step)}
    key = f"inside_step_{run.id}"
    if st.session_state.get(key) not in by_step:
        st.session_state[key] = sound[0].step

    def words(step: int) -> str:
        loss = by_step[step].val_loss_nats
        return f"{step:,}" + (f" · loss {number(loss, 3)}" if loss is not None else "")

    if len(by_step) == 1:
        st.caption(f"Step {words(sound[0].step)}: the only checkpoint that is kept of this run.")
        return str(sound[0].path)
    step = st.select_slider(
        "Step", list(by_step), key=key, format_func=words, persist_state="session",
        help="Earlier checkpoints of the same run. More of them are kept with --keep_checkpoints. Typical: the best.",
    )  # fmt: skip
    return str(by_step[step].path)
