"""The text on the desk, plain or in the colours of its probabilities, and the place where a click writes it anew."""

import html

import streamlit as st

from ui import tokens
from ui.settle import settle
from ui.sheet import Sheet, as_tokens, count_line, read_cut
from ui.words import literal
from ui.writing import joined

HEIGHT = 416
CUT = "cut"  # session key: where the person wants to have it written anew
MEANING = "Paler: expected. Darker: a surprise. Rest on a token for what else was likely; click to write on from there."


def draw(sheet: Sheet | None, state_before: str | None) -> None:
    """The text, and below it window, speed and origin; drawn again and again while it grows."""
    settle()
    progress = sheet.writing.look() if sheet else None
    if CUT in st.session_state or (progress and progress.state != state_before):
        st.rerun()  # once: the full run begins what was asked for, or has the buttons and the timer of the new state
    if sheet is None or progress is None:
        empty = [[{"text": "The text appears here.", "quiet": True}]]
        tokens.show(empty, key="text_view", framed=True, height=HEIGHT, label="Text", on_choice=_note_cut)
        return
    texts = sheet.texts(progress)
    colored = st.session_state.get("by_probability", False)
    head = [{"text": sheet.prompt, "quiet": True}] if sheet.prompt else []
    rows = [head + (as_tokens(text, progress.active) if colored else [{"text": joined(text)}]) for text in texts]
    names = [f"seed {sheet.first_seed + index}" for index in range(len(texts))] if len(texts) > 1 else []
    tokens.show(
        rows, key="text_view", framed=True, height=HEIGHT, label="Generated text", writing=progress.active,
        names=names, beside=len(texts) > 1, on_choice=_note_cut,
    )  # fmt: skip
    if progress.state == "failed":
        st.error(literal(progress.problem), icon=":material/error:")
    st.html(_window_bar(*sheet.seen(progress), sheet.n_ctx))
    st.caption(literal(" · ".join((*count_line(progress), sheet.origin))))
    if colored and not progress.active:
        st.caption(MEANING)


def _window_bar(seen: int, count: int, n_ctx: int) -> str:
    """How full the window is, and what has left it."""
    words = f"{seen:,} of {n_ctx:,} tokens"
    words += f", the first {count - seen:,} are out of sight" if count > seen else ""
    title = "What the model sees at once. When the window is full, it forgets the older half of it."
    return (
        f'<div class="window" title="{title}"><span>window</span><div role="meter" aria-label="Window" '
        f'aria-valuemin="0" aria-valuemax="{n_ctx}" aria-valuenow="{seen}" aria-valuetext="{words}">'
        f'<div style="width:{100 * seen / n_ctx:.1f}%"></div></div><span>{html.escape(words)}</span></div>'
    )


def next_seeds() -> None:
    """The seeds after those of the samples that are there."""
    st.session_state["seed"] = (st.session_state["seed"] + st.session_state["samples"]) % 2**31


def _note_cut() -> None:
    """A choice was taken in the text; without another token in its place, other seeds make another text."""
    st.session_state[CUT] = said = st.session_state["text_view"].get("choice")
    cut = read_cut(said)
    if cut and cut.choice < 0:
        next_seeds()
