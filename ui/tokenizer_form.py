"""The left side of the Tokenizers page: a text, and what the learned tokenizers learn from."""

import html
from dataclasses import dataclass

import streamlit as st

from ui import engines, form
from ui import tokenizer_engine as engine
from ui.tokenizer_engine import BYTES, LARGEST_VOCABULARY, MOST_CHARACTERS, Source
from ui.words import counted, file_size

SAMPLE = "training.txt"
OWN = "The text above"
EXAMPLE = """\
"The fox is there," said the other fox. 🦊 Then they
counted: 1, 2, 3, 10, 100, 2026. The others thought
that the FOX was naïve, and the café was there, too.

def count(foxes):
    for fox in foxes:
        if fox.is_there:
            print("The fox is there.")
"""
FIRST_SIZE = 512


@dataclass(frozen=True)
class Desk:
    """What the right side works with."""

    text: str
    source: Source
    vocab_size: int  # of bpe: what the text gives, if that is less than what was asked for
    asked_size: int
    problem: str = ""  # of the source: nothing can be learned from it


def draw() -> Desk:
    """The controls; all of them keep their values for the session."""
    st.session_state.setdefault("tokenizer-text", EXAMPLE)
    st.session_state.setdefault("tokenizer-vocab", FIRST_SIZE)
    typed = st.text_area(
        "Text", key="tokenizer-text", height=240, persist_state="session", placeholder="Type or paste a text.",
        help="Any text: prose, code, another script. Ctrl+Enter applies it. Typical: a few lines.",
    )  # fmt: skip
    text = (typed or "")[:MOST_CHARACTERS]
    show_facts(describe(typed or ""))
    from_own = st.segmented_control(
        "Tokenizers learn from", (SAMPLE, OWN), default=SAMPLE, required=True, key="tokenizer-source",
        persist_state="session",
        help="For bpe and sentencepiece, what stands together often in it becomes a token; character takes its "
        "characters. Typical: training.txt, 1 MB of little plays.",
    ) == OWN  # fmt: skip
    asked = st.number_input(
        "Vocabulary size", value=None, step=64, key="tokenizer-vocab", persist_state="session", placeholder="512",
        help="Different tokens that bpe and sentencepiece may have, the 256 bytes among them. Typical: 512 for a page "
        "of text, 1,024 for 1 MB, 50,257 for GPT-2.",
    )  # fmt: skip
    problem = size_problem(asked)
    form.show_problem(problem)
    asked_size = FIRST_SIZE if problem or asked is None else int(asked)
    source = Source(text=text) if from_own else Source(SAMPLE, engines.file_stamp(SAMPLE))
    if not text:
        return Desk("", source, asked_size, asked_size)
    learned = engine.learn(source)
    form.show_problem(learned.problem)
    if not learned.problem and asked_size > learned.largest:
        show_facts([
            f"No pair occurs twice in {source.name} after {learned.largest:,} tokens: bpe stops there. A longer text "
            "gives more."
        ])  # fmt: skip
    return Desk(text, source, min(asked_size, learned.largest), asked_size, learned.problem)


def describe(typed: str) -> list[str]:
    """How long the text is, and how much of it is used."""
    size = file_size(len(typed.encode(errors="replace")))
    lines = [f"{counted(len(typed), 'character')} · {size} · {counted(len(set(typed)), 'different character')}"]
    if len(typed) > MOST_CHARACTERS:
        lines.append(f"This page works with the first {MOST_CHARACTERS:,} of them.")
    return lines


def size_problem(asked: int | float | None) -> str:
    """Why a vocabulary cannot have this size, or nothing."""
    reason = ""
    if asked is None:
        reason = "Give a vocabulary size."
    elif asked < BYTES:
        reason = f"A vocabulary of {asked:,} has no room for the {BYTES} bytes that come first: use {BYTES} or more."
    elif asked > LARGEST_VOCABULARY:
        reason = f"This page stops at a vocabulary of {LARGEST_VOCABULARY:,}: use that or less."
    return f"{reason} Until then, {FIRST_SIZE} is shown." if reason else ""


def show_facts(lines: list[str]) -> None:
    """Quiet lines below a control, as text."""
    if lines:
        st.html("".join(f'<p class="fact">{html.escape(line)}</p>' for line in lines))
