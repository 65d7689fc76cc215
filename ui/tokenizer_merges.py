"""Byte-pair encoding one merge at a time: which pair, how often, and what the text looks like then."""

import html
from collections.abc import Sequence

import streamlit as st

from ui import form, tokens
from ui import tokenizer_engine as engine
from ui.tokenizer_engine import BYTES, Step
from ui.tokenizer_form import Desk, show_facts
from ui.tokenizer_views import MOST_DRAWN, TALL
from ui.words import counted

STEP = "tokenizer-step"
NEIGHBOURS = 4  # merges shown before and after


def draw(desk: Desk) -> None:
    """Slider and buttons, the merge, the text after it, and the merges around it."""
    learned = engine.learn(desk.source)
    if learned.problem:
        form.show_problem(learned.problem)
        return
    last = desk.vocab_size - BYTES
    if last < 1:
        st.text("No merges yet: the vocabulary has the 256 bytes and nothing else. A larger one, or a longer text to "
                "learn from, has merges to step through.")  # fmt: skip
        return
    step = choose(last)
    before = engine.cut("bpe", desk.source, BYTES + step - 1, desk.text, MOST_DRAWN) if step else None
    after = engine.cut("bpe", desk.source, BYTES + step, desk.text, MOST_DRAWN)
    st.html(sentence(learned.steps, step, desk.source.name))
    new = BYTES + step - 1
    marked = [token | {"marked": bool(step) and token.get("id") == new} for token in after.drawn]
    tokens.show([marked], key="cut-merge", label=f"The text after {step} merges", framed=True, max_height=TALL)
    saved = f"this merge makes your text {before.count - after.count:,} shorter: " if before else "your text has "
    line = f"{saved}{counted(after.count, 'token')}, {after.characters_per_token:.2f} characters each"
    show_facts([line[0].upper() + line[1:]])
    st.html(table(learned.steps[:last], step))


def choose(last: int) -> int:
    """How many merges are applied."""
    st.session_state[STEP] = min(st.session_state.get(STEP, 1), last)
    left, right, wide = st.columns([2, 2, 7], vertical_alignment="bottom")
    wide.slider(
        "Merges applied", 0, last, key=STEP, persist_state="session",
        help="0 is the plain bytes; each merge adds one token to the vocabulary. Typical: go through the first ten.",
    )  # fmt: skip
    step = int(st.session_state[STEP])
    left.button(
        "Previous", icon=":material/chevron_left:", key="merge-previous", disabled=step == 0, width="stretch",
        on_click=move, args=(-1, last), help="Undo the last merge.",
    )  # fmt: skip
    right.button(
        "Next", icon=":material/chevron_right:", key="merge-next", disabled=step == last, width="stretch",
        on_click=move, args=(1, last), help="Apply the next merge.",
    )  # fmt: skip
    return step


def move(by: int, last: int) -> None:
    """One merge on, or back."""
    st.session_state[STEP] = max(0, min(st.session_state[STEP] + by, last))


def sentence(steps: Sequence[Step], step: int, source: str) -> str:
    """The merge in words, as HTML."""
    if step == 0:
        return '<p class="merge">No merge yet: every byte is a token.</p>'
    merge = steps[step - 1]
    left, right, both = (f"<code>{html.escape(part)}</code>" for part in (merge.left, merge.right, joined(merge)))
    return (
        f'<p class="merge">Merge {step:,}: {left} + {right} → {both} <span>token {BYTES + step - 1:,}, '
        f"{merge.frequency:,} times together in {html.escape(source)}</span></p>"
    )


def table(steps: Sequence[Step], step: int) -> str:
    """The merges around this one, the current one marked, as HTML."""
    first = max(0, min(step - 1 - NEIGHBOURS, len(steps) - 2 * NEIGHBOURS - 1))
    rows = [
        f"<tr{' class=here' if place == step - 1 else ''}><td>{place + 1:,}</td>"
        f"<td><code>{html.escape(merge.left)}</code> + <code>{html.escape(merge.right)}</code></td>"
        f'<td><code>{html.escape(joined(merge))}</code></td><td class="amount">{BYTES + place:,}</td>'
        f'<td class="amount">{merge.frequency:,}</td></tr>'
        for place, merge in list(enumerate(steps))[first : first + 2 * NEIGHBOURS + 1]
    ]
    head = '<th>merge</th><th>pair</th><th>new token</th><th class="amount">id</th>'
    head += '<th class="amount">times together</th>'
    return f'<table class="numbers merges"><tr>{head}</tr>{"".join(rows)}</table>'


def joined(merge: Step) -> str:
    """The new token for the eye."""
    return merge.left + merge.right
