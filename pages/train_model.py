"""Train: before Start a form that builds a model, after Start (`?run=…`) the run as it goes."""

import streamlit as st

from ui import form, preset_buttons, readiness
from ui.setup import check

if "run" in st.query_params:
    from runs.folder import CHECKPOINTS, open_run
    from ui import live

    live.live_view(open_run(CHECKPOINTS, st.query_params["run"]))
    st.stop()

preset_buttons.fill_defaults()
st.title("Build a model", anchor=False)
preset_buttons.draw()
setup = check(
    form.read("model"),
    form.read("data"),
    form.read("training"),
    implementation=st.session_state["implementation"],
    preset=st.session_state["preset"],
    size=st.session_state["size"],
)
left, right = st.columns([5, 7], gap="medium")
with left:
    tabs = st.tabs(["Architecture", "Text", "Training"])
    for tab, section in zip(tabs, ("model", "data", "training"), strict=True):
        with tab:
            form.draw(section, form.shown(section, basic=True), setup.problems)
            with st.expander("More"):
                form.draw(section, form.shown(section, basic=False), setup.problems)
with right:
    readiness.draw(setup)
