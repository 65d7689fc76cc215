"""A comparison to take away: its table and curves as CSV, or a page of its own that opens anywhere."""

import streamlit as st

from runs import export
from ui.picked import Picked
from ui.report import report


def draw(picked: Picked) -> None:
    """Three buttons; what they give is made when it is asked for."""
    runs = picked.chosen
    st.caption("The ticked runs, as files. Charts have a PNG button of their own.")
    with st.container(horizontal=True, key="export_buttons"):
        st.download_button(
            "Table as CSV", lambda: export.summaries_csv(runs, picked.reference), "comparison.csv", "text/csv",
            icon=":material/table:", on_click="ignore", help="One line a run, with every setting that differs.",
        )  # fmt: skip
        st.download_button(
            "Curves as CSV", lambda: export.curves_csv(runs), "curves.csv", "text/csv", icon=":material/show_chart:",
            on_click="ignore", help="One line for each step and evaluation, nothing left out.",
        )  # fmt: skip
        st.download_button(
            "Report as HTML", lambda: report(picked), "comparison.html", "text/html", icon=":material/description:",
            on_click="ignore", help="Numbers, curves and differences in one file of 5 MB that opens without a network.",
        )  # fmt: skip
