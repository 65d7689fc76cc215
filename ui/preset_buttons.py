"""The row at the top of Train: three architectures as cards, four sizes, and what was changed since."""

import streamlit as st

from config.fields import describe
from config.model_config import ModelConfig
from config.presets import PRESET_NAMES, SIZES, load_preset, preset_info, size_fields
from ui import form, setup

FIRST_PRESET, FIRST_SIZE = "gpt2", "tiny"


def fill_defaults() -> None:
    """Start with a preset that trains in about a minute."""
    form.fill_defaults()
    if "preset" not in st.session_state:
        apply_preset(FIRST_PRESET, FIRST_SIZE)
        st.session_state["implementation"] = "fused"


def apply_preset(preset: str, size: str) -> None:
    """Put every field of a preset and a size into the form."""
    st.session_state["preset"] = preset
    st.session_state["size"] = size
    values = load_preset(preset, size).to_dict()
    form.write("model", values)


def apply_size() -> None:
    """Put the size's fields into the form and leave the components as they are."""
    form.write("model", size_fields(st.session_state["size"]))


def draw() -> None:
    """The cards, the sizes and the chip that says what departs from the preset."""
    with st.container(key="presets"):
        columns = st.columns(len(PRESET_NAMES), gap="small")
        for column, name in zip(columns, PRESET_NAMES, strict=True):
            info = preset_info(name)
            column.button(
                f"**{info.title}**  \n{info.summary}",
                key=f"preset-{name}",
                type="primary" if st.session_state["preset"] == name else "secondary",
                on_click=apply_preset,
                args=(name, st.session_state["size"]),
                width="stretch",
            )
    with st.container(horizontal=True, vertical_alignment="center", key="size-row"):
        st.segmented_control(
            "Size",
            SIZES,
            key="size",
            required=True,
            on_change=apply_size,
            label_visibility="collapsed",
            persist_state="session",
        )
        draw_changes()


def draw_changes() -> None:
    """LLaMA, modified: Positions rope → alibi (reset). Otherwise one line about the preset."""
    preset, size = st.session_state["preset"], st.session_state["size"]
    info = preset_info(preset)
    changed = setup.changes(form.read("model"), preset, size)
    if not changed:
        st.caption(info.note, width="stretch")
        return
    assert changed.keys() <= describe(ModelConfig).keys()
    st.badge(f"{info.title}, modified: {setup.changes_in_words(changed)}", color="primary", icon=":material/tune:")
    st.button("Reset", key="reset", type="tertiary", icon=":material/undo:", on_click=apply_preset, args=(preset, size))
