"""Ready: what Start will do, in numbers, and the button."""

import streamlit as st

from ui.setup import TABS, Setup


def draw(setup: Setup) -> None:
    """The card beside the form."""
    with st.container(border=True, key="ready"):
        for (section, _), message in setup.problems.items():
            st.text(f"{TABS[section]}: {message}")
        if st.button("Start training", type="primary", key="start", disabled=setup.config is None):
            start(setup)


def start(setup: Setup) -> None:
    """Make the run's folder, start its worker, and show it."""
    from runs import folder, launch

    assert setup.config is not None
    run = folder.create_run(folder.CHECKPOINTS, setup.config, {"launcher": "page"})
    launch.launch(run)
    st.query_params["run"] = run.id
    st.rerun()
