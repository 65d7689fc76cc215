"""Train: before Start a form that builds a model, after Start (`?run=…`) the run as it goes."""

import streamlit as st

from config.presets import has_size, is_preset
from config.run_config import RunConfig
from ui import (
    architecture,
    builder,
    code_panel,
    deleting,
    examples,
    form,
    link,
    numbers_panel,
    picked,
    preset_buttons,
    proof_panel,
    readiness,
    text_panel,
)

PANELS = ("Drawing", "Code", "Numbers", "Proof")


def show_run(run_id: str) -> None:
    """The run that the address names."""
    from ui import live, shown_run

    run = shown_run.draw(run_id, page="pages/train_model.py", label="Build a model")
    if run is None:
        return
    with st.container(horizontal=True, vertical_alignment="center", key="after_run"):
        st.button("Build another model", key="build-another", icon=":material/add:", on_click=st.query_params.clear)
        if config := live.read_config(run):
            st.button(
                "Build from these settings", key="build-from", icon=":material/tune:", on_click=build_from,
                args=(config, ),
                disabled=not (
                    is_preset(config.preset) and has_size(config.preset or "", config.size)
                    and config.data.text_kind == "text"
                ),
            )  # fmt: skip
        if live.has_checkpoint(run):
            st.page_link(
                "pages/fine_tune.py", label="Fine-tune", icon=":material/instant_mix:", query_params={"from": run.id}
            )
        if st.button("Compare", key="compare-run", icon=":material/compare_arrows:"):
            picked.tick(picked.with_predecessor(run))
            st.switch_page("pages/compare_runs.py")
        st.space("stretch")
        deleting.draw_button(run, live=deleting.is_live(run))


def build_from(config: RunConfig) -> None:
    """Put everything that a run was started with into the form."""
    form.fill_defaults()
    preset_buttons.fill_defaults()
    st.session_state.update(preset=config.preset, size=config.size, implementation=config.implementation)
    for section, part in (("model", config.model), ("data", config.data), ("training", config.training)):
        form.write(section, part.to_dict())
    text_panel.show_source(config.data.text_file)
    st.query_params.clear()


def show_form() -> None:
    """The model on the left, what it means on the right."""
    preset_buttons.fill_defaults()
    link.fill_from_address()
    title, tries = st.columns([4, 8], vertical_alignment="center")
    title.title("Build a model", anchor=False)
    with tries:
        examples.draw()
    link.draw_refusals()
    preset_buttons.draw()
    build = builder.gather()
    with st.container(key="build"):
        left, right = st.columns([5, 8], gap="large")
    with left:
        show_tabs(build)
    with right:
        show_panels(build)
        readiness.draw(build)


def show_tabs(build: builder.Build) -> None:
    """Architecture, Text and Training: few controls first, the rest behind "More"."""
    tabs = st.tabs(["Architecture", "Text", "Training"], key="form-tab", on_change="rerun")
    with tabs[0]:
        form.draw("model", form.shown("model", basic=True, group="Components"), build.problems)
        form.draw("model", form.shown("model", basic=True, group="Size"), build.problems)
        form.draw_more("model", build.problems, first=preset_buttons.draw_implementation)
    with tabs[1]:
        if tabs[1].open:
            text_panel.draw(build)
    with tabs[2]:
        form.draw("training", form.shown("training", basic=True), build.problems)
        form.draw_more("training", build.problems)


def show_panels(build: builder.Build) -> None:
    """The same model as a picture, as source, as numbers, and proved."""
    tabs = st.tabs(list(PANELS), key="panel-tab", on_change="rerun")
    with tabs[0]:
        marked = preset_buttons.changed_slots()
        architecture.show(build.model, key="drawing", marked=marked, stale=build.stale, on_part=open_source)
    with tabs[1]:
        if tabs[1].open:
            code_panel.draw(build.model)
    with tabs[2]:
        if tabs[2].open:
            training = form.read("training")
            parts = training["grad_accumulation"] or 1
            micro_batch = max(1, (training["batch_size"] or 1) // parts)
            numbers_panel.draw(build.model, micro_batch, st.session_state["implementation"], stale=build.stale)
    with tabs[3]:
        if tabs[3].open:
            proof_panel.draw(build.model, stale=build.stale)


def open_source() -> None:
    """A part of the drawing was clicked: show how it is written."""
    slot = (st.session_state["drawing"].get("part") or "").partition("/")[0]
    if slot:
        st.session_state["code-slot"] = slot
        st.session_state["panel-tab"] = "Code"


if "run" in st.query_params:
    show_run(st.query_params["run"])
else:
    show_form()
