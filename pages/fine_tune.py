"""Fine-tune: before Start a checkpoint, a text and what is trained; after Start (`?run=…`) the run as it goes."""

import streamlit as st

from config.errors import RunError
from ui import deleting, form, generation_engine, run_picker, shown_run, tuning, tuning_form, tuning_ready
from ui.words import literal


def show_run(run_id: str) -> None:
    """The run that the address names, as on Train, and what it wrote before."""
    run = shown_run.draw(run_id, page="pages/fine_tune.py", label="Fine-tune a checkpoint")
    if run is None:
        return
    with st.container(horizontal=True, vertical_alignment="center", key="after_run"):
        st.button("Fine-tune another", key="tune-another", icon=":material/add:", on_click=st.query_params.clear)
        st.space("stretch")
        deleting.draw_button(run, live=deleting.is_live(run))


def show_form() -> None:
    """What to begin from on the left, what that means on the right."""
    st.title("Fine-tune", anchor=False)
    runs = run_picker.runs_with_checkpoints()
    if not runs:
        with st.container(border=True, key="no_runs"):
            st.markdown("#### Nothing to fine-tune yet")
            st.text("A trained or imported model goes on learning here. A tiny one is trained in about a minute.")
            if st.button("Train a tiny model", icon=":material/model_training:", type="primary"):
                st.switch_page("pages/train_model.py")
        return
    st.caption(
        "A trained model goes on learning: from another text, from prompts and responses, or with other settings."
    )
    generation_engine.warm_up()
    form.fill_defaults()
    with st.container(key="build"):
        left, right = st.columns([5, 8], gap="large")
    with left:
        run, checkpoint = tuning_form.pick_parent(runs)
        try:
            before = run.read_config()
        except RunError as error:
            st.error(literal(str(error)))
            return
        if checkpoint is None:
            return
        tuning.fill_from(run, before)
        tuned = tuning.gather(run, checkpoint, before)
        tuning_form.draw_text(tuned)
        tuning_form.draw_method(tuned)
        tuning_form.draw_training(tuned)
    with right:
        tuning_ready.draw(tuned)
        run_picker.draw_card(run, checkpoint)


if "run" in st.query_params:
    show_run(st.query_params["run"])
else:
    show_form()
