"""Generate: a run, a checkpoint, a prompt, and the text it continues."""

import streamlit as st

from ui import generation_engine, run_picker, sampler_form, writing_desk

runs = run_picker.runs_with_checkpoints()
st.title("Generate text", anchor=False)
if not runs:
    with st.container(border=True, key="no_runs"):
        st.markdown("#### Nothing to generate from yet")
        st.text("A run can write as soon as it has saved its first checkpoint. A tiny model needs about a minute.")
        if st.button("Train a tiny model", icon=":material/model_training:", type="primary"):
            st.switch_page("pages/train_model.py")
    st.stop()

generation_engine.warm_up()
st.space("xxsmall")
left, right = st.columns([3, 5], gap="medium")
with left:
    run = run_picker.pick_run(runs)
    checkpoint = run_picker.pick_checkpoint(run)
    settings = sampler_form.draw()
    if checkpoint:
        run_picker.draw_card(run, checkpoint)
        st.page_link(
            "pages/look_inside.py", label="Look inside", icon=":material/search_insights:", query_params={"run": run.id}
        )
with right:
    writing_desk.draw(run, checkpoint, settings)
st.set_page_config(page_title=f"{run.read_label().name} · Generate")
