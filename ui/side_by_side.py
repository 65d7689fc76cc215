"""The same prompt and seed for several checkpoints, side by side: what differs is the model."""

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from runs.checkpoints import choose
from ui import generation_engine as engine
from ui.sampler_settings import PRESETS, SamplerSettings, describe
from ui.words import literal, number
from ui.writing import Writing, joined
from ui.writing_desk import LONGEST_PROMPT, LOOK_SECONDS

SHEETS = "side"  # session key: what was written last
LENGTHS = (100, 200, 400)


@dataclass(frozen=True)
class Writer:
    """One column: a checkpoint and what it is called."""

    name: str
    color: str
    path: str


@dataclass(frozen=True)
class Sheet:
    """One checkpoint's column; `problem` says why it writes nothing."""

    name: str
    color: str
    step: int
    prompt: str
    writing: Writing | None = None
    problem: str = ""

    @property
    def active(self) -> bool:
        """Whether more text will come."""
        return self.writing is not None and self.writing.look().active


def draw_writers(writers: Sequence[Writer], *, key: str = SHEETS, prompt: str = "") -> None:
    """Prompt and settings, then a column for each of these checkpoints.

    Args:
        key: where the session keeps what was written last.
        prompt: what stands in the field at first.
    """
    engine.warm_up()
    st.session_state.setdefault(f"{key}_prompt", prompt)
    prompt = st.text_area(
        "Prompt", key=f"{key}_prompt", height=80, max_chars=LONGEST_PROMPT, persist_state="session",
        placeholder="The beginning of a text. Empty: each model starts on a new line.",
    )  # fmt: skip
    settings = _ask_settings()
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button(
            "Write with each", icon=":material/edit_note:", type="primary", key="write_each", disabled=not writers
        ):
            st.session_state[key] = [_begin(writer, prompt, settings) for writer in writers]
        st.caption(f"{describe(settings)} · seed {settings.seed} for all")
    sheets: Sequence[Sheet] = st.session_state.get(key, ())
    active = any(sheet.active for sheet in sheets)
    st.fragment(_draw_sheets, run_every=LOOK_SECONDS if active else None, key="side_texts")(sheets, was_active=active)


def _ask_settings() -> SamplerSettings:
    """How all of them write."""
    with st.container(horizontal=True, vertical_alignment="bottom", key="side_settings"):
        manner = st.segmented_control(
            "Sampler", list(PRESETS), default="balanced", required=True, key="side_sampler", persist_state="session",
            help="Greedy always takes the likeliest token; balanced and creative draw. Typical: balanced.",
        )  # fmt: skip
        length = st.segmented_control(
            "Tokens", LENGTHS, default=LENGTHS[1], required=True, key="side_length", persist_state="session",
            help="How many each writes. Typical: 200.",
        )  # fmt: skip
        seed = st.number_input(
            "Seed", 0, 2**31 - 1, 1, key="side_seed", persist_state="session", width=140,
            help="Start of the random draws, the same for all. Typical: any.",
        )  # fmt: skip
    return SamplerSettings(**PRESETS[manner or "balanced"], seed=seed, max_new_tokens=length or LENGTHS[1])


def step_of(path: str) -> int:
    """The step of a checkpoint's folder."""
    return int(path.rpartition("_")[2])


def _begin(writer: Writer, prompt: str, settings: SamplerSettings) -> Sheet:
    """Let one checkpoint write; it waits for the others before it."""
    path, step = writer.path, step_of(writer.path)
    try:
        choose(path)  # damaged weights have a sentence
        stamp = engine.checkpoint_stamp(path)
        facts = engine.check_prompt(path, stamp, prompt)
        if facts.problem:
            return Sheet(writer.name, writer.color, step, prompt, problem=facts.problem)
        writing = engine.write(path, stamp, facts.tokens, [()], settings)
    except ValueError as error:  # checkpoint, settings or prompt: each has its sentence
        return Sheet(writer.name, writer.color, step, prompt, problem=str(error))
    return Sheet(writer.name, writer.color, step, prompt, writing)


def _draw_sheets(sheets: Sequence[Sheet], was_active: bool) -> None:
    """Every text as far as it is."""
    if was_active and not any(sheet.active for sheet in sheets):
        st.rerun()  # once: it ends the timer
    if not sheets:
        return
    with st.container(key="side_by_side"):
        columns = st.columns(len(sheets), gap="small")
    for column, sheet in zip(columns, sheets, strict=True):
        with column, st.container(gap="xsmall"):
            st.html(f'<i class="swatch" style="border-color:{sheet.color}"></i>')
            st.markdown(f"**{literal(sheet.name)}** · step {sheet.step:,}")
            if sheet.problem or sheet.writing is None:
                st.error(literal(sheet.problem), icon=":material/block:")
                continue
            progress = sheet.writing.look()
            if progress.problem:
                st.error(literal(progress.problem), icon=":material/error:")
            st.code(f"{sheet.prompt}{joined(progress.texts[0]) if progress.texts else ''}" or " ", language=None,
                    wrap_lines=True)  # fmt: skip
            waiting = "waiting for its turn" if progress.state == "waiting" else f"{progress.count:,} tokens"
            speed = f" · {number(progress.tokens_per_second, 3)} tokens/s" if progress.tokens_per_second else ""
            st.caption(waiting + speed)
