"""Deleting a run: a button, and a question that says what goes and how much room that makes."""

import streamlit as st

from config.errors import RunError
from runs import folder
from runs.folder import RunFolder
from runs.shared_files import size_on_disk
from runs.state import read_status
from ui.words import counted, file_size, literal

HOME = "pages/home.py"
FREED, PROBLEM = "freed_bytes", "delete_problem"  # session keys: what came of the answer
LIVE = "Stop the run first: its worker still writes into its folder."


def draw_button(run: RunFolder, *, live: bool, label: str = "Delete run", then: str = HOME) -> None:
    """The button that asks; without a label it is an icon. Disabled while a worker has the run.

    Args:
        then: the page to go to when it is deleted.
    """
    if st.button(
        label or "\u200b", key=f"delete-{run.id}", icon=":material/delete:", type="tertiary", disabled=live,
        help=LIVE if live else "Delete this run and everything in its folder.",
    ):  # fmt: skip
        ask(run, then)


@st.dialog("Delete this run?")
def ask(run: RunFolder, then: str) -> None:
    """What goes, and the two answers; drawn once more after the answer, to go where there is something to see."""
    if FREED in st.session_state:
        st.switch_page(then)
    steps = len(list(run.path.glob("step_*")))
    kept = counted(steps, "checkpoint")
    st.markdown(f"**{literal(run.read_label().name)}** · {run.id}")
    st.text(
        f"Its settings, curves, texts and log go for ever{f', {kept} with them' if steps else ''}. "
        f"That frees at least {file_size(size_on_disk(run.path))}."
    )
    with st.container(horizontal=True):
        st.button("Delete", key="delete_sure", type="primary", icon=":material/delete:", on_click=_delete, args=(run,))
        if st.button("Keep it", key="delete_not"):
            st.rerun()
    if problem := st.session_state.pop(PROBLEM, None):
        st.error(literal(problem))


def tell() -> None:
    """Say once, on the page that is shown after a deletion, what it freed."""
    if (freed := st.session_state.pop(FREED, None)) is not None:
        st.toast(f"Deleted. {file_size(freed)} are free again.", icon=":material/delete:")


def _delete(run: RunFolder) -> None:
    try:
        st.session_state[FREED] = folder.delete_run(run)
    except (RunError, OSError) as error:
        st.session_state[PROBLEM] = str(error)


def is_live(run: RunFolder) -> bool:
    """Whether a worker has the run, or is about to."""
    return read_status(run).live
