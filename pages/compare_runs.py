"""Compare: which of these runs is better, at what, and what is different about it."""

import streamlit as st

from ui import deleting, overlay, run_differences, run_table
from ui.live import theme

TABS = {
    "Differences": run_differences.draw,
}

deleting.tell()
summaries = run_table.read_summaries()
st.title("Compare runs", anchor=False)
if not summaries:
    with st.container(border=True, key="no_runs"):
        st.markdown("#### Nothing to compare yet")
        st.text("Train a model, change one part of it, train again: here you see which one learns better, and why.")
        if st.button("Train a tiny model", icon=":material/model_training:", type="primary"):
            st.switch_page("pages/train_model.py")
    st.stop()

st.space("xxsmall")
chosen, reference = run_table.pick(summaries, theme())
if not chosen:
    st.info("Tick runs in the table: their curves and differences appear here.", icon=":material/check_box:")
    st.stop()
overlay.draw(chosen, reference)
tabs = st.tabs(list(TABS), key="compare_tab", on_change="rerun")
for tab, draw in zip(tabs, TABS.values(), strict=True):
    with tab:
        if tab.open:
            draw(chosen, reference)
