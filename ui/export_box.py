"""Taking a run home: its best checkpoint as a folder or a zip file that `transformers` opens."""

from functools import partial

import streamlit as st

from config.errors import RunError
from runs.folder import RunFolder
from ui import exchange_engine
from ui.exchange_engine import Answer
from ui.words import file_size, literal

LARGEST_ZIP_BYTES = 500_000_000  # it passes through the server's memory; a folder does not
ANSWER = "export-answer"  # session key: run id, and what came of the last export of it


def draw(run: RunFolder) -> None:
    """An expander; what it needs from the model's configuration is asked only while it is open."""
    if next(run.path.glob("step_*"), None) is None:
        return
    box = st.expander("Export to Hugging Face", icon=":material/upload:", key="run_export", on_change="rerun")
    if not box.open:
        return
    with box:
        try:
            config, preset = run.read_model_config(), run.read_config().preset
        except RunError as error:
            st.error(literal(str(error)))
            return
        family = exchange_engine.family_for(config, preset)
        if family.problem:
            st.warning(literal(family.problem[:1].upper() + family.problem[1:]) + "\\.", icon=":material/block:")
            return
        draw_ways(run, family)


def draw_ways(run: RunFolder, family: Answer) -> None:
    """A download where the model is small, and a folder on this machine."""
    weights = max((path.stat().st_size for path in run.path.glob("step_*/model.safetensors")), default=0)
    st.markdown(
        f"The best checkpoint, {file_size(weights)} of weights, for `{family.path}`: `AutoModelForCausalLM` and "
        f"`{family.tokenizer_class}` open it and give the same logits and tokens."
    )
    with st.container(horizontal=True, vertical_alignment="bottom", key="export-row"):
        target = st.text_input(
            "Folder to make on this machine", value=f"exports/{_file_name(run)}", key=f"export-path-{run.id}",
            help="A folder that does not exist yet; without a leading / it is made beside main.py.",
        )  # fmt: skip
        if st.button("Write folder", key="export-start", icon=":material/folder:", disabled=not target.strip()):
            path = exchange_engine.local_path(target.strip())
            with st.spinner("Writing …", show_time=True):
                st.session_state[ANSWER] = run.id, exchange_engine.export(run.path, path)
        if weights <= LARGEST_ZIP_BYTES:
            st.download_button(
                "Download zip", partial(exchange_engine.export_zip, run.path), f"{_file_name(run)}.zip",
                "application/zip", key="export-zip", icon=":material/download:", on_click="ignore",
            )  # fmt: skip
    draw_answer(run)


def draw_answer(run: RunFolder) -> None:
    """Where the folder is, or why there is none."""
    run_id, answer = st.session_state.get(ANSWER, ("", Answer()))
    if run_id != run.id:
        return
    if answer.problem:
        st.error(literal(answer.problem), icon=":material/error:")
    else:
        st.success("Written. In Python:", icon=":material/check:")
        st.code(f'AutoModelForCausalLM.from_pretrained("{answer.path}")', language="python", wrap_lines=True)


def _file_name(run: RunFolder) -> str:
    """The run's name as a file name of plain letters."""
    name = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "-" for c in run.read_label().name)
    return name.strip(".-") or run.id
