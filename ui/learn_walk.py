"""A sentence on its way through a small model: tables of its real numbers, each of which can be opened."""

import math
from typing import Any

import pandas as pd
import streamlit as st

from config.demos import load_demo
from config.errors import CheckpointError, RunError
from runs.checkpoints import choose
from ui import learn_engine as engine
from ui import tokens
from ui.generation_engine import checkpoint_stamp
from ui.run_picker import first_choice, runs_with_checkpoints
from ui.starting import start_run
from ui.words import literal

TRAIN = "pages/train_model.py"
SENTENCE = "The king keeps"
SHOWN_DIMENSIONS = 8
PAGE_HELP = "Click a number to see where it comes from."


def draw() -> None:
    """The whole way, or an invitation to train the model that is needed for it."""
    st.header("Walk through a sentence", anchor=False)
    st.markdown(
        "Type a few words and follow them through a trained model: as tokens, as vectors, through attention, to the"
        " next token. These are its real numbers. **Click any of them** to see the formula with the values in it."
    )
    runs = runs_with_checkpoints()
    if not runs:
        invite()
        return
    left, right = st.columns([2, 1], gap="medium")
    sentence = left.text_input(
        "Sentence", SENTENCE, key="walk-sentence", persist_state="session", max_chars=200,
        help="At most 16 tokens are followed. Typical: three words.",
    )  # fmt: skip
    names = {run.id: run.read_label().name for run in runs}
    picked = right.selectbox(
        "Model", list(names), runs.index(first_choice(runs)), format_func=names.__getitem__, key="walk-run",
        help="A run of yours; its best checkpoint. Typical: the latest that is finished.",
    )  # fmt: skip
    run = next(run for run in runs if run.id == picked)
    try:
        path = str(choose(run.path))
        stamp = checkpoint_stamp(path)
    except (CheckpointError, RunError) as error:
        st.warning(literal(str(error)))
        return
    found, problem = engine.walk(path, stamp, sentence)
    if problem:
        st.warning(literal(problem))
        return
    for number, (title, step) in enumerate(STEPS.items(), start=1):
        st.subheader(f"{number} · {title}", anchor=False)
        step(path, stamp, found)


def invite() -> None:
    """No model yet: one click trains the demo, in about a minute."""
    with st.container(border=True):
        st.markdown("There is no trained model yet. A tiny LLaMA learns in about a minute; then come back here.")
        if st.button("Train a tiny LLaMA now", type="primary", icon=":material/play_arrow:", key="walk-demo"):
            run, problem = start_run(load_demo("quick"), "uv run train.py --demo quick")
            if run is None:
                st.error(literal(problem))
            else:
                st.switch_page(TRAIN, query_params={"run": run.id})


def table(values: Any, rows: list[str], columns: list[str], key: str, digits: int = 2) -> tuple[int, int] | None:
    """Numbers of which one can be clicked: its row and column, or None."""
    words = [[spoken(value, digits) for value in row] for row in values]
    event = st.dataframe(
        pd.DataFrame(words, index=rows, columns=columns), key=key, on_select="rerun", selection_mode="single-cell",
        width="stretch", height="content",
        column_config={name: st.column_config.TextColumn(alignment="right") for name in columns},
    )  # fmt: skip
    cells = event["selection"]["cells"]
    if not cells:
        st.caption(PAGE_HELP)
        return None
    row, column = cells[0]
    return int(row), columns.index(column)


def spoken(value: float | None, digits: int) -> str:
    """A number with so many decimals; nothing where there is none, and zero without a sign."""
    if value is None or math.isnan(value):
        return ""
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text


def places(found: Any) -> list[str]:
    """Names of the tokens that a table can tell apart: each with its place in front."""
    return [f"{place} {name}" for place, name in enumerate(found.tokens)]


def show_tokens(path: str, stamp: str, found: Any) -> None:
    """The text in pieces."""
    drawn = [
        {"text": name, "id": token, "tooltip": f"token {token}"}
        for name, token in zip(found.tokens, found.ids, strict=True)
    ]
    tokens.show([drawn], key="walk-tokens", label="The sentence in tokens", framed=True)
    if found.left_out:
        st.caption(f"{found.left_out} more tokens at the end are not followed.")
    st.code(" ".join(map(str, found.ids)), language=None)


@st.fragment
def show_embedding(path: str, stamp: str, found: Any) -> None:
    """The first dimensions of each token's vector."""
    st.markdown(f"Each token is a row of {found.d_model} numbers; here are the first {SHOWN_DIMENSIONS}.")
    shown = [row[:SHOWN_DIMENSIONS] for row in found.embedding]
    columns = [f"x[{place}]" for place in range(len(shown[0]))]
    if cell := table(shown, places(found), columns, "walk-embedding"):
        st.code(engine.explain("embedding", path, stamp, found, *cell), language=None)


@st.fragment
def show_attention(path: str, stamp: str, found: Any) -> None:
    """The pattern of one head."""
    if not found.patterns:
        st.markdown("This architecture does not form a pattern that could be shown.")
        return
    left, right = st.columns(2)
    layer = left.selectbox(
        "Layer", list(found.patterns), key="walk-layer", help="Which block. Typical: look at all of them."
    )
    head = right.selectbox(
        "Head", range(found.n_heads), key="walk-head", help="Which of the patterns side by side. Typical: look at all."
    )
    st.markdown(
        "Each row is a token that asks; the columns are those it may listen to. A row sums to 1, or to less where the"
        " head has a sink."
    )
    names = places(found)
    shares = [
        [share if key <= query else None for key, share in enumerate(row)]
        for query, row in enumerate(found.patterns[layer][head])
    ]
    if cell := table(shares, names, names, f"walk-pattern-{layer}-{head}"):
        st.code(engine.explain("share", path, stamp, found, layer, head, *cell), language=None)


@st.fragment
def show_stream(path: str, stamp: str, found: Any) -> None:
    """How long each token's stream is after every block."""
    st.markdown("Every block adds to the stream of every token. This is its length after each of them.")
    stages = ["embedding", *(f"block {layer + 1}" for layer in range(len(found.stream) - 1))]
    if cell := table(found.stream, stages, places(found), "walk-stream"):
        st.code(engine.explain("length", path, stamp, found, *cell), language=None)


@st.fragment
def show_next(path: str, stamp: str, found: Any) -> None:
    """The likeliest next tokens after one position."""
    names = places(found)
    pos = len(names) - 1
    if pos:
        chosen = st.select_slider(
            "After token", names, value=names[-1], key=f"walk-after-{'-'.join(map(str, found.ids))}",
            help="Every position has a guess. Typical: the last one.",
        )  # fmt: skip
        pos = names.index(chosen)
    best = found.next_tokens[pos]
    cell = table(
        [[logit, probability] for _, _, logit, probability in best], [name for name, *_ in best],
        ["logit", "probability"], f"walk-next-{pos}", digits=4,
    )  # fmt: skip
    if cell:
        what = "logit" if cell[1] == 0 else "probability"
        st.code(engine.explain(what, path, stamp, found, pos, cell[0]), language=None)


STEPS = {
    "Tokens": show_tokens,
    "Vectors": show_embedding,
    "Attention": show_attention,
    "The stream": show_stream,
    "What comes next": show_next,
}
