"""The Text tab: which text, how it is cut, and the first batch as the model will see it."""

import html
from pathlib import Path

import streamlit as st

from config.data_config import DataConfig
from config.errors import TextError
from runs import folder
from ui import engines, form, tokens, uploads
from ui.builder import OWN_TEXT, Build, shown_name, upload_problem
from ui.words import count, counted, file_size

SAMPLE, OWN = "training.txt", OWN_TEXT
LARGEST_UPLOAD = 50  # MB; the server's own limit stands in .streamlit/config.toml
PREVIEW_SEQUENCES = 2


def draw(build: Build) -> None:
    """The whole tab."""
    st.session_state.setdefault("text-source", SAMPLE)
    source = st.segmented_control(
        "Text", (SAMPLE, OWN), key="text-source", required=True, on_change=choose_source,
        help="The text the model learns from. training.txt has little plays, about 1 MB; any text of yours will do.",
        persist_state="session",
    )  # fmt: skip
    if source == OWN:
        draw_upload()
    draw_facts(build)
    form.draw("data", form.shown("data", basic=True), build.problems)
    draw_preview(build)
    form.draw_more("data", build.problems)


def choose_source() -> None:
    """Back to the committed text, or to what was uploaded before."""
    st.session_state["upload-problem"] = None
    own = st.session_state.get("uploaded-path")
    chosen = own if st.session_state["text-source"] == OWN and own else SAMPLE
    form.write("data", {"text_file": chosen, "encoding": "utf-8"})


def show_source(path: str) -> None:
    """Let the panel stand on the text of another run: training.txt, or a text of one's own."""
    st.session_state["upload-problem"] = None
    st.session_state["text-source"] = SAMPLE if path == SAMPLE else OWN
    if path != SAMPLE and path != st.session_state.get("uploaded-path"):
        st.session_state.update({"uploaded-path": path, "uploaded-name": Path(path).name})


def draw_upload() -> None:
    """The upload field. Its key changes with each file, so that the server drops the bytes once they are on disk."""
    number = st.session_state.setdefault("upload-number", 0)
    st.file_uploader(
        "Upload a text file",
        type=["txt", "md", "csv", "tsv", "json", "py", "tex", "html"],
        key=f"upload-{number}",
        max_upload_size=LARGEST_UPLOAD,
        on_change=take_upload,
        label_visibility="collapsed",
    )


def take_upload() -> None:
    """Store what was uploaded and train on it; the name it came with is only shown, never used as a path."""
    number = st.session_state["upload-number"]
    upload = st.session_state.get(f"upload-{number}")
    if upload is None:
        return
    st.session_state["upload-number"] = number + 1
    st.session_state["upload-problem"] = None
    try:
        path = uploads.store(upload.getvalue(), folder.CHECKPOINTS)
    except TextError as error:
        st.session_state["upload-problem"] = str(error)
        return
    st.session_state["uploaded-path"] = str(path)
    st.session_state["uploaded-name"] = upload.name
    form.write("data", {"text_file": str(path), "encoding": "utf-8"})


def draw_facts(build: Build) -> None:
    """What the text is, or why it is none, with the ways out."""
    problem = build.problems.get(("data", "text_file"))
    name = shown_name(st.session_state["data-text_file"])
    if problem:
        form.show_problem(problem)
        if upload_problem():
            st.button(
                f"Use {name[:60]} instead", key="keep-text", icon=":material/undo:", on_click=show_source,
                args=(st.session_state["data-text_file"],),
            )  # fmt: skip
        elif "is not UTF-8" in problem:
            with st.container(horizontal=True):
                st.button(
                    "Read it as Latin-1", key="as-latin", on_click=form.write, args=("data", {"encoding": "latin-1"})
                )
                st.button("Replace what is unreadable", key="replace", on_click=replace_unreadable)
        return
    facts = build.text
    different = counted(facts.different, "different character")
    lines = [f"{name[:60]} · {file_size(facts.bytes)} · {different}"] if name else []
    if build.tokens.d_vocab:
        train, val = build.tokens.train_tokens, build.tokens.val_tokens
        per_token = facts.characters / max(1, train + val)
        lines.append(
            f"{count(train)} tokens to train on, {count(val)} for validation · {build.tokens.d_vocab:,} different · "
            f"{per_token:.2g} character{'' if per_token == 1 else 's'} each"
        )
    st.html("".join(f'<p class="fact">{html.escape(line)}</p>' for line in [*lines, *facts.notes]))


def replace_unreadable() -> None:
    """Train on a copy of the upload in which every unreadable byte became �."""
    try:
        path = uploads.replace_unreadable(Path(st.session_state["data-text_file"]), folder.CHECKPOINTS)
    except (OSError, TextError) as error:
        st.session_state["upload-problem"] = str(error)
        return
    st.session_state["uploaded-path"] = str(path)
    form.write("data", {"text_file": str(path)})


def draw_preview(build: Build) -> None:
    """Inputs above targets: the same text, one token on."""
    if build.stale or any(section == "data" for section, _ in build.problems) or not build.tokens.train_tokens:
        return
    training = form.read("training")
    if any(section == "training" and name in ("batch_size", "seed") for section, name in build.problems):
        return
    st.markdown(
        "**The first batch**", help="What the model reads, and under it what it must say: the same text, one token on."
    )
    try:
        rows = engines.first_batch(
            DataConfig.from_dict(form.read("data")),
            build.model.n_ctx,
            training["batch_size"],
            training["seed"],
            PREVIEW_SEQUENCES,
        )
    except TextError as error:
        form.show_problem(str(error))
        return
    tokens.show(
        rows, key="first-batch", names=["input", "target"] * (len(rows) // 2), label="The first batch", framed=True
    )
