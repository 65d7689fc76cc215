"""Bringing a published model in: a folder on this machine, or a small one as a zip file."""

from pathlib import Path

import streamlit as st

from runs import folder
from ui import exchange_engine
from ui.exchange_engine import Answer
from ui.words import literal

LARGEST_UPLOAD = 50  # MB; the server's own limit stands in .streamlit/config.toml
ANSWER = "import-answer"  # session key: what came of the last import
GENERATE, TRAIN = "pages/generate_text.py", "pages/train_model.py"


def draw() -> None:
    """The box; what came of the last import stands below it until the next."""
    with st.expander("Import a model from Hugging Face", icon=":material/download:", key="import-box"):
        st.caption(
            "A folder with config.json, model.safetensors and tokenizer.json becomes a run: it writes, is compared, "
            "looked into and fine-tuned like any other. Nothing in it is executed."
        )
        with st.container(horizontal=True, vertical_alignment="bottom", key="import-folder-row"):
            path = st.text_input(
                "Folder on this machine", key="import-path", placeholder="/home/me/models/gpt2",
                help="The folder of a model, as `save_pretrained` or a download leaves it; or a zip file of one.",
                persist_state="session",
            )  # fmt: skip
            if st.button("Import", key="import-start", disabled=not path.strip(), icon=":material/download:"):
                import_folder(path.strip())
        number = st.session_state.setdefault("import-number", 0)
        upload = st.file_uploader(
            f"Or a zip file, up to {LARGEST_UPLOAD} MB", type=["zip"], key=f"import-upload-{number}",
            max_upload_size=LARGEST_UPLOAD,
        )  # fmt: skip
        if upload is not None:
            st.session_state["import-number"] = number + 1  # a new field: the server drops the bytes
            import_zip(upload.getvalue(), upload.name)
        draw_answer()


def import_folder(path: str) -> None:
    """From a path that the person typed."""
    with st.spinner("Reading the model …", show_time=True):
        answer = exchange_engine.import_folder(exchange_engine.local_path(path), folder.CHECKPOINTS.absolute())
    _take(answer)


def import_zip(content: bytes, name: str) -> None:
    """From an upload."""
    with st.spinner("Reading the model …", show_time=True):
        answer = exchange_engine.import_zip(content, name.removesuffix(".zip"), folder.CHECKPOINTS.absolute())
    _take(answer)


def _take(answer: Answer) -> None:
    st.session_state[ANSWER] = answer
    st.rerun()  # so that the new run is among the cards


def draw_answer() -> None:
    """The run with the ways to go on, or why there is none."""
    answer: Answer | None = st.session_state.get(ANSWER)
    if answer is None:
        return
    if answer.problem:
        st.error(literal(answer.problem), icon=":material/error:")
        return
    run = folder.RunFolder(Path(answer.path))
    with st.container(horizontal=True, vertical_alignment="center", key="import-done"):
        st.success(f"Imported as **{literal(run.read_label().name)}**.", icon=":material/check:")
        st.page_link(GENERATE, label="Generate text", icon=":material/edit_note:", query_params={"run": run.id})
        st.page_link(TRAIN, label="Open the run", icon=":material/open_in_new:", query_params={"run": run.id})
