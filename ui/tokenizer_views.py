"""A text cut by one tokenizer, large, and by all of them side by side."""

import html
from collections.abc import Mapping
from typing import Any

import streamlit as st

from ui import form, tokens
from ui import tokenizer_engine as engine
from ui.tokenizer_engine import Cut
from ui.tokenizer_form import Desk, show_facts

KINDS = {
    "character": "one token for each character; it knows only those of the text it was made for",
    "byte": "one token for each byte of UTF-8; nothing is unknown",
    "bpe": "byte pairs that stand together often become tokens, again and again",
    "sentencepiece": "the same idea from characters, by the library that LLaMA 1 and 2 use",
    "gpt2": "GPT-2's own 50,257 byte pairs, learned from web pages",
}
MOST_DRAWN, MOST_DRAWN_BESIDE = 2_000, 400
MOST_IDS = 200
TALL, SMALL = 416, 320


def cut(kind: str, desk: Desk, most_drawn: int) -> Cut:
    """The person's text in tokens of one kind."""
    if kind == "gpt2" and (missing := engine.gpt2_missing()):
        return Cut(problem=missing)
    return engine.cut(kind, desk.source, desk.vocab_size if kind == "bpe" else desk.asked_size, desk.text, most_drawn)


def draw_one(desk: Desk) -> None:
    """The text in the colours of one tokenizer, with ids and bytes on hover."""
    kind = st.segmented_control(
        "Tokenizer", list(KINDS), default="bpe", required=True, key="tokenizer-kind", persist_state="session",
        help="How the text is cut. Typical: bpe, as in most models of today.\n"
        + "\n".join(f"- **{name}**: {meaning}" for name, meaning in KINDS.items()),
    )  # fmt: skip
    found = cut(kind or "bpe", desk, MOST_DRAWN)
    if found.problem:
        show_reason(kind or "bpe", found.problem)
        return
    numbers = {
        "Tokens": f"{found.count:,}",
        "Characters per token": f"{found.characters_per_token:.2f}",
        "Vocabulary": f"{found.vocab_size:,}",
    }
    for place, (label, value) in zip(st.columns(3), numbers.items(), strict=True):
        place.metric(label, value)
    tokens.show([found.drawn], key="cut-one", label=f"The text in {kind} tokens", framed=True, max_height=TALL)
    show_facts([*notes(found), "Point at a token: its id, its bytes. The same token always has the same colour."])
    st.markdown("**What the model gets**", help="The ids alone, in this order; it never sees a letter.")
    st.code(ids(found), language=None, wrap_lines=True)


def draw_beside(desk: Desk) -> None:
    """A table of all tokenizers, and the text as each of them cuts it."""
    cuts = {kind: cut(kind, desk, MOST_DRAWN_BESIDE) for kind in KINDS}
    st.html(table(cuts))
    row: list[Any] = []
    for kind, found in cuts.items():
        row = row or list(st.columns(2, gap="medium"))
        with row.pop(0):
            st.markdown(f"**{kind}**", help=KINDS[kind].capitalize() + ".")
            if found.problem:
                show_reason(kind, found.problem)
                continue
            label = f"The text in {kind} tokens"
            tokens.show([found.drawn], key=f"cut-{kind}", label=label, framed=True, max_height=SMALL)
            show_facts(notes(found))


def table(cuts: Mapping[str, Cut]) -> str:
    """Tokens, characters per token and vocabulary, with a bar for the number of tokens."""
    most = max((found.count for found in cuts.values()), default=0) or 1
    rows = []
    for kind, found in cuts.items():
        if found.problem:
            continue
        rows.append(
            f'<tr><td>{kind}</td><td class="amount">{found.count:,}</td>'
            f'<td class="bar"><div style="width:{100 * found.count / most:.1f}%"></div></td>'
            f'<td class="amount">{found.characters_per_token:.2f}</td>'
            f'<td class="amount">{found.vocab_size:,}</td></tr>'
        )
    head = '<th>tokenizer</th><th class="amount">tokens</th><th class="bar"></th>'
    head += '<th class="amount">characters per token</th><th class="amount">vocabulary</th>'
    return f'<table class="numbers"><tr>{head}</tr>{"".join(rows)}</table>'


def ids(found: Cut) -> str:
    """The first token ids, as numbers and nothing else."""
    numbers = [str(token["id"]) for token in found.drawn if "id" in token][:MOST_IDS]
    return " ".join([*numbers, "…"] if len(numbers) < found.count else numbers)


def notes(found: Cut) -> list[str]:
    """What is not drawn, and what has no token."""
    lines = []
    if found.unknown:
        named = " ".join(found.unknown[:12]) + (" …" if len(found.unknown) > 12 else "")
        lines.append(f"Not in its vocabulary, so drawn pale and not counted: {named}")
    if len([token for token in found.drawn if "id" in token]) < found.count:
        lines.append(f"Drawn: the first {len(found.drawn):,} tokens. Counted: all of them.")
    return lines


def show_reason(kind: str, problem: str) -> None:
    """Why there are no tokens: in red, but quietly where nobody did anything wrong."""
    if kind == "gpt2":
        st.html(f'<p class="fact">{html.escape(problem)}</p>')
    else:
        form.show_problem(problem)
