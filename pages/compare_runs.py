"""Compare: which of these runs is better, at what, is it real, and what is different about it."""

import streamlit as st

from ui import (
    deleting,
    dense_versus_moe,
    exporting,
    overlay,
    run_differences,
    run_table,
    run_writers,
    scaling,
    verdict,
)
from ui.live import theme
from ui.picked import read_summaries

TABS = {
    "Differences": run_differences.draw,
    "Same prompt": run_writers.draw,
    "Is it real?": verdict.draw,
    "Scaling": scaling.draw,
    "Dense or experts": dense_versus_moe.draw,
    "Export": exporting.draw,
}

deleting.tell()
summaries = read_summaries()
st.title("Compare runs", anchor=False)
if not summaries:
    with st.container(border=True, key="no_runs"):
        st.markdown("#### Nothing to compare yet")
        st.text("Train a model, change one part of it, train again: here you see which one learns better, and why.")
        if st.button("Train a tiny model", icon=":material/model_training:", type="primary"):
            st.switch_page("pages/train_model.py")
    st.stop()

st.space("xxsmall")
picked = run_table.pick(summaries, theme())
if not picked.chosen:
    st.info("Tick runs in the table: their curves and differences appear here.", icon=":material/check_box:")
    st.stop()
overlay.draw(picked)
tabs = st.tabs(list(TABS), key="compare_tab", on_change="rerun")
for tab, draw in zip(tabs, TABS.values(), strict=True):
    with tab:
        if tab.open:
            draw(picked)
