"""The right side of Generate: prompt, buttons, and the text as it comes."""

from dataclasses import dataclass, replace
from typing import Any

import streamlit as st

from config.errors import CheckpointError
from runs.checkpoints import CheckpointInfo
from runs.folder import RunFolder
from ui import engines, form, tokens
from ui.sampler_form import SamplerSettings, describe
from ui.settle import settle
from ui.words import literal, number
from ui.writing import Piece, Progress, Writing

LOOK_SECONDS = 0.25
LONGEST_PROMPT = 20_000  # characters
HEIGHT = 416
SHEET = "sheet"  # session key: what is on the desk; it outlives widgets and pages


@dataclass(frozen=True)
class Sheet:
    """One text, with everything that made it: what the page shows below it must not follow the widgets."""

    writing: Writing
    prompt: str
    origin: str


def draw(run: RunFolder, checkpoint: CheckpointInfo | None, settings: SamplerSettings) -> None:
    """Everything of the desk."""
    prompt = st.text_area(
        "Prompt", key="prompt", height=112, max_chars=LONGEST_PROMPT, persist_state="session",
        placeholder="The beginning of a text. Empty: the model starts on a new line.",
    )  # fmt: skip
    facts = _check_prompt(checkpoint, prompt)
    sheet: Sheet | None = st.session_state.get(SHEET)
    if facts and facts.problem:
        _draw_refusal(facts)
    _draw_buttons(run, checkpoint if facts else None, settings, prompt, bool(facts and not facts.problem), sheet)
    active = bool(sheet and sheet.writing.look().active)
    st.fragment(_draw_text, run_every=LOOK_SECONDS if active else None, key="text")(was_active=active)


def _check_prompt(checkpoint: CheckpointInfo | None, prompt: str) -> engines.PromptFacts | None:
    """Token count against the window, as the line under the prompt; None when nothing can be generated."""
    if checkpoint is None:
        return None
    try:
        facts = engines.check_prompt(str(checkpoint.path), engines.checkpoint_stamp(str(checkpoint.path)), prompt)
    except CheckpointError as error:
        st.error(literal(str(error)), icon=":material/error:")
        return None
    st.caption(facts.line)
    return facts


def _draw_refusal(facts: engines.PromptFacts) -> None:
    """What the model cannot read, and the way out."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="unknown_characters"):
        form.show_problem(facts.problem)
        st.button(
            "Leave them out", key="leave_out", type="tertiary", icon=":material/backspace:", width="content",
            on_click=_set_prompt, args=(facts.known,),
        )  # fmt: skip


def _set_prompt(prompt: str) -> None:
    st.session_state["prompt"] = prompt


def _draw_buttons(
    run: RunFolder,
    checkpoint: CheckpointInfo | None,
    settings: SamplerSettings,
    prompt: str,
    readable: bool,
    sheet: Sheet | None,
) -> None:
    """Generate, Stop, Continue and Another; `readable` says whether the model can read the prompt."""
    progress = sheet.writing.look() if sheet else None
    active = bool(progress and progress.active)
    more = bool(progress and progress.pieces and not active and checkpoint)
    with st.container(horizontal=True, vertical_alignment="center", key="writing_buttons"):
        if active and sheet:
            st.button("Stop", icon=":material/stop:", on_click=sheet.writing.stop, key="stop_writing", type="primary")
            fresh = False
        else:
            fresh = st.button(
                "Generate", icon=":material/edit_note:", key="generate", type="primary",
                disabled=not (checkpoint and readable),
            )  # fmt: skip
        onward = st.button("Continue", icon=":material/more_horiz:", key="continue", disabled=not more)
        another = st.button(
            "Another", icon=":material/casino:", key="another", disabled=not (more and readable), on_click=_next_seed,
            help="The same prompt with the next seed.",
        )  # fmt: skip
        st.space("stretch")
        st.toggle(
            "Colour by probability", key="by_probability", persist_state="session",
            help="The darker a token, the less the model expected it. Rest on a token to read its probability.",
        )  # fmt: skip
    if checkpoint and (fresh or another):
        _write(run, checkpoint, replace(settings, seed=st.session_state["seed"]), prompt)
    elif checkpoint and onward and sheet and progress:
        _write(run, checkpoint, settings, sheet.prompt + progress.text)


def _next_seed() -> None:
    st.session_state["seed"] = (st.session_state["seed"] + 1) % 2**31


def _write(run: RunFolder, checkpoint: CheckpointInfo, settings: SamplerSettings, prompt: str) -> None:
    path = str(checkpoint.path)
    try:
        writing = engines.write(path, engines.checkpoint_stamp(path), prompt, settings)
    except ValueError as error:  # checkpoint, settings or prompt: each has its sentence
        st.error(literal(str(error)), icon=":material/error:")
        return
    origin = f"{run.read_label().name}, step {checkpoint.step:,} · {describe(settings)} · seed {settings.seed}"
    st.session_state[SHEET] = Sheet(writing, prompt, origin)
    st.rerun()


def _draw_text(was_active: bool) -> None:
    settle()
    sheet: Sheet | None = st.session_state.get(SHEET)
    progress = sheet.writing.look() if sheet else None
    if was_active and not (progress and progress.active):
        st.rerun()  # once: the full run shows Generate again and ends the timer
    if sheet is None or progress is None:
        empty = [[{"text": "The text appears here.", "quiet": True}]]
        tokens.show(empty, key="text_view", framed=True, height=HEIGHT, label="Text")
        return
    colored = st.session_state.get("by_probability", False)
    row = [{"text": sheet.prompt, "quiet": True}] if sheet.prompt else []
    row += [_as_token(piece) for piece in progress.pieces] if colored else [{"text": progress.text}]
    tokens.show([row], key="text_view", framed=True, height=HEIGHT, label="Generated text", writing=progress.active)
    if progress.state == "failed":
        st.error(literal(progress.problem), icon=":material/error:")
    st.caption(literal(" · ".join((*_count(progress), sheet.origin))))


def _as_token(piece: Piece) -> dict[str, Any]:
    return {"text": piece.text, "id": piece.token, "probability": piece.probability,
            "tooltip": f"{piece.text!r}\n{piece.probability:.1%} likely"}  # fmt: skip


def _count(progress: Progress) -> list[str]:
    words = {
        "waiting": ["waiting for another text to be finished"],
        "stopped": ["stopped"],
        "abandoned": ["stopped, because nobody was watching"],
    }.get(progress.state, [])
    if not progress.pieces:
        return words
    return [f"{len(progress.pieces):,} tokens", f"{number(progress.tokens_per_second, 3)} tokens/s", *words]
