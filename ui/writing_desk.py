"""The right side of Generate: prompt and buttons; the text and what may come next are parts of their own."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import streamlit as st

from runs.checkpoints import CheckpointInfo
from runs.folder import RunFolder
from ui import form, next_token, text_view
from ui import generation_engine as engine
from ui.generation_engine import PromptFacts
from ui.sampler_settings import SamplerSettings, describe
from ui.sheet import Cut, Sheet, read_cut
from ui.words import literal
from ui.writing import Piece, Progress

LOOK_SECONDS = 0.25
WAITING_LOOK_SECONDS = 1.0  # what waits for its turn leaves the processor to the text that is being written
LONGEST_PROMPT = 20_000  # characters
SHEET = "sheet"  # session key: what is on the desk; it outlives widgets and pages
OTHER_RUN = "The text is by another run: choose that one again, or begin a new text."


@dataclass(frozen=True)
class Desk:
    """What the page stands on now."""

    run: RunFolder
    path: str  # of the checkpoint
    step: int
    stamp: str
    settings: SamplerSettings
    prompt: str
    facts: PromptFacts


def draw(run: RunFolder, checkpoint: CheckpointInfo | None, settings: SamplerSettings) -> None:
    """Everything of the desk."""
    prompt = st.text_area(
        "Prompt", key="prompt", height=112, max_chars=LONGEST_PROMPT, persist_state="session",
        placeholder="The beginning of a text. Empty: the model starts on a new line.",
    )  # fmt: skip
    desk = _prepare(run, checkpoint, settings, prompt) if checkpoint else None
    sheet: Sheet | None = st.session_state.get(SHEET)
    if desk and desk.facts.problem:
        _draw_refusal(desk.facts)
    progress = sheet.writing.look() if sheet else None  # once: a text that ends in between would leave Stop standing
    _draw_buttons(desk, sheet, progress)
    state = progress.state if progress else None
    every = {"waiting": WAITING_LOOK_SECONDS, "writing": LOOK_SECONDS}.get(state or "")
    st.fragment(text_view.draw, run_every=every, key="text")(sheet, state)
    if desk:
        next_token.draw(desk.path, desk.stamp, desk.facts, desk.settings, desk.prompt, _text_here(desk, sheet))


def _text_here(desk: Desk, sheet: Sheet | None) -> tuple[Piece, ...] | None:
    """What is written after the prompt that stands there now (of several texts the first); None while it grows."""
    if sheet is None or sheet.run_id != desk.run.id or sheet.prompt != desk.prompt:
        return ()
    progress = sheet.writing.look()
    return None if progress.active else sheet.texts(progress)[0]


def _prepare(run: RunFolder, checkpoint: CheckpointInfo, settings: SamplerSettings, prompt: str) -> Desk | None:
    """Count the prompt against the window, as the line under it; None when nothing can be generated."""
    path = str(checkpoint.path)
    try:
        stamp = engine.checkpoint_stamp(path)
        facts = engine.check_prompt(path, stamp, prompt)
    except ValueError as error:  # checkpoint, run or prompt: each has its sentence
        st.error(literal(str(error)), icon=":material/error:")
        return None
    st.caption(facts.line)
    return Desk(run, path, checkpoint.step, stamp, settings, prompt, facts)


def _draw_refusal(facts: PromptFacts) -> None:
    """What the model cannot read, and the way out."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="unknown_characters"):
        form.show_problem(facts.problem)
        st.button(
            "Leave them out", key="leave_out", type="tertiary", icon=":material/backspace:", width="content",
            on_click=_set_prompt, args=(facts.known,),
        )  # fmt: skip


def _set_prompt(prompt: str) -> None:
    st.session_state["prompt"] = prompt


def _draw_buttons(desk: Desk | None, sheet: Sheet | None, progress: Progress | None) -> None:
    """Generate or Stop, Continue, Regenerate and the colours; then what was asked for is begun."""
    active = bool(progress and progress.active)
    readable = bool(desk and not desk.facts.problem)
    written = bool(desk and sheet and progress and any(sheet.texts(progress)) and not active)
    elsewhere = bool(written and desk and sheet and sheet.run_id != desk.run.id)
    with st.container(horizontal=True, vertical_alignment="center", key="writing_buttons"):
        fresh = False
        if active and sheet:
            st.button("Stop", icon=":material/stop:", on_click=sheet.writing.stop, key="stop_writing", type="primary")
        else:
            fresh = st.button(
                "Generate", icon=":material/edit_note:", key="generate", type="primary", disabled=not readable
            )
        onward = st.button(
            "Continue", icon=":material/more_horiz:", key="continue", disabled=not written or elsewhere,
            help=OTHER_RUN if elsewhere else "Write on from where the text ends.",
        )  # fmt: skip
        again = st.button(
            "Regenerate", icon=":material/casino:", key="regenerate", disabled=not (written and readable),
            on_click=text_view.next_seeds, help="The same prompt with the next seed.",
        )  # fmt: skip
        st.space("stretch")
        st.toggle(
            "Colour by probability", key="by_probability", persist_state="session",
            help="How likely the model itself found each token, before the sampler. Typical: on, to look closely.",
        )  # fmt: skip
    cut = read_cut(st.session_state.pop(text_view.CUT, None))
    if not desk:
        return
    if readable and (fresh or again):
        settings = replace(desk.settings, seed=st.session_state["seed"])
        _write(desk, settings, desk.prompt, desk.facts.tokens, ((),) * settings.samples)
    elif sheet and progress and written and not elsewhere and (onward or cut):
        kept: tuple[tuple[Piece, ...], ...] | None = sheet.texts(progress)
        settings = desk.settings
        if cut:
            settings = replace(settings, seed=st.session_state["seed"])
            kept = _cut_text(desk, cut, sheet.texts(progress))
        if kept is not None:
            _write(desk, settings, sheet.prompt, sheet.prompt_tokens, kept)
    elif cut and elsewhere:
        st.warning(OTHER_RUN, icon=":material/link_off:")


def _cut_text(desk: Desk, cut: Cut, texts: Sequence[Sequence[Piece]]) -> tuple[tuple[Piece, ...], ...] | None:
    """The text up to the token that was clicked, as often as samples are wanted."""
    parts = cut.parts(texts)
    if parts is None:
        return None
    before, gone = parts
    if cut.choice >= 0:
        taken = engine.placed(desk.path, desk.stamp, before, gone.alternatives[cut.choice])
        before = (*before, replace(taken, alternatives=gone.alternatives))
    return (before,) * desk.settings.samples


def _write(
    desk: Desk,
    settings: SamplerSettings,
    prompt: str,
    prompt_tokens: tuple[int, ...],
    kept: tuple[tuple[Piece, ...], ...],
) -> None:
    """Begin to write after the prompt and what is kept of each text."""
    try:
        begun = [engine.tokens_of(desk.path, desk.stamp, pieces) for pieces in kept]
        writing = engine.write(desk.path, desk.stamp, prompt_tokens, begun, settings)
    except ValueError as error:  # checkpoint, settings or prompt: each has its sentence
        st.error(literal(str(error)), icon=":material/error:")
        return
    seeds = f"seed {settings.seed}" if len(kept) == 1 else f"seeds {settings.seed} to {settings.seed + len(kept) - 1}"
    origin = f"{desk.run.read_label().name}, step {desk.step:,} · {describe(settings)} · {seeds}"
    st.session_state[SHEET] = Sheet(
        writing, prompt, prompt_tokens, kept, desk.run.id, desk.facts.n_ctx, settings.seed, origin
    )
    st.rerun()
