"""The run that an address names, on the page that started it: as it goes, and what it wrote before."""

import streamlit as st

from config.errors import RunError
from runs import folder
from runs.folder import RunFolder
from ui import before_after, live


def draw(run_id: str, *, page: str, label: str) -> RunFolder | None:
    """The live view; None, with the reason and a way out, where there is no such run.

    Args:
        page, label: where the way out leads, and what it is called.
    """
    try:
        run = folder.open_run(folder.CHECKPOINTS, run_id)
    except RunError as error:
        st.title("No such run", anchor=False)
        st.text(str(error))
        st.page_link(page, label=label, icon=":material/arrow_back:")
        return None
    live.live_view(run)
    before_after.draw(run)
    return run
