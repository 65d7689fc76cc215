"""The list behind "More architectures": every other preset, by who released it, with what sets it apart from LLaMA."""

from collections.abc import Callable
from itertools import groupby

import streamlit as st

from config.presets import MORE_PRESETS, PLAIN, differences_between, preset_info
from ui import setup
from ui.words import literal

MOST_DIFFERENCES = 5  # told in the list; all of them stand behind "What … sets" once it is chosen


def draw(choose: Callable[[str], None]) -> None:
    """The popover; the list is drawn only while it is open.

    Args:
        choose: called with the name of the preset whose button was clicked.
    """
    chosen = st.session_state["preset"] in MORE_PRESETS
    label = preset_info(st.session_state["preset"]).title if chosen else "More architectures"
    box = st.popover(
        label, icon=":material/apps:", key="more-architectures", type="primary" if chosen else "secondary",
        on_change="rerun",
    )  # fmt: skip
    if not box.open:
        return
    with box, st.container(height=480, border=False, key="architecture-list"):
        st.caption(
            f"Released families, each in the sizes for training and in its published ones. Most are "
            f"{preset_info(PLAIN).title} with a few parts exchanged."
        )
        for group, names in groupby(MORE_PRESETS, key=lambda name: preset_info(name).group):
            st.markdown(f"**{group}**")
            for name in names:
                draw_line(name, choose)


def draw_line(name: str, choose: Callable[[str], None]) -> None:
    """A button with the family's name, what is special about it, and the fields in which it differs."""
    info = preset_info(name)
    chosen = st.session_state["preset"] == name
    button, words = st.columns([2, 5], vertical_alignment="top", gap="small")
    button.button(
        info.title, key=f"preset-{name}", on_click=choose, args=(name,), width="stretch",
        type="primary" if chosen else "secondary",
    )  # fmt: skip
    with words:
        st.markdown(info.summary)
        st.caption(literal(differences_in_words(name)))


def differences_in_words(name: str) -> str:
    """Differs from LLaMA in norm placement (output), query and key norm (full)."""
    found = differences_between(name)
    told = [f"{info.title} ({setup.in_words(value)})" for info, _, value in found[:MOST_DIFFERENCES]]
    more = f" and {len(found) - MOST_DIFFERENCES} more" if len(found) > MOST_DIFFERENCES else ""
    return f"Differs from {preset_info(PLAIN).title} in {', '.join(told)}{more}."


def draw_published(choose: Callable[[str], None]) -> None:
    """The sizes in which the chosen preset was released, each with its number of parameters."""
    info = preset_info(st.session_state["preset"])
    if not info.published:
        return
    box = st.popover("Published sizes", icon=":material/straighten:", key="published-sizes", type="tertiary",
                     on_change="rerun")  # fmt: skip
    if not box.open:
        return
    with box:
        st.caption("As they were released. What does not fit into this machine is told before Start.")
        for size in sorted(info.published, key=lambda size: info.parameters[size]):
            st.button(
                f"{size} · {info.parameters[size]:,} parameters", key=f"published-{size}", on_click=choose,
                args=(size,), width="stretch", type="primary" if st.session_state["size"] == size else "secondary",
            )  # fmt: skip
