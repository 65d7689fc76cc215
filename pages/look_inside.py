"""Look inside: what a checkpoint does with a text, from where its heads look to what each of its parts is worth."""

import streamlit as st

from ui import (
    ablation_view,
    activation_view,
    attention_view,
    embedding_view,
    generation_engine,
    inside_subject,
    lens_view,
    run_picker,
)
from ui.words import literal

TABS = {
    "Attention": attention_view.draw,
    "Logit lens": lens_view.draw,
    "Next token": lens_view.draw_next,
    "Embeddings": embedding_view.draw,
    "Activations": activation_view.draw,
    "Switch parts off": ablation_view.draw,
}

st.title("Look inside", anchor=False)
if not run_picker.runs_with_checkpoints():
    with st.container(border=True, key="no_runs"):
        st.markdown("#### Nothing to look into yet")
        st.text("As soon as a run has saved a checkpoint, you see here where its heads look and what its layers know.")
        if st.button("Train a tiny model", icon=":material/model_training:", type="primary"):
            st.switch_page("pages/train_model.py")
    st.stop()

generation_engine.warm_up()
sight = inside_subject.draw()
if sight is None:
    st.stop()
tabs = st.tabs(list(TABS), key="inside_tab", on_change="rerun")
for tab, draw in zip(tabs, TABS.values(), strict=True):
    if not tab.open:
        continue
    with tab:
        try:
            draw(sight)
        except ValueError as error:  # what this model or this text does not allow: each has its sentence
            st.error(literal(str(error)), icon=":material/error:")
