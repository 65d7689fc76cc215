"""Look inside, Switch parts off: what the loss on the text becomes without heads, MLPs and layers."""

import time

import streamlit as st

from ui import inside_engine as engine
from ui import part_grid
from ui.inside_engine import Look
from ui.inside_subject import Sight
from ui.part_grid import Part
from ui.words import number

OFF = "inside_off"  # session key: the parts that are switched off
GRID = "inside_parts"
MEASURED = "inside_measured"  # session key: (checkpoint, tokens, replacement) whose map was asked for
HOW = (
    "Each cell is a part of the model: click it to switch it off, and again to switch it on. The map shows for every "
    "part how much the loss on this text rises without it: orange parts are needed here, blue ones are in the way."
)
QUIET_SECONDS = 0.5
REPLACEMENTS = {"mean": "its mean over the text", "zero": "nothing"}


def draw(sight: Sight) -> None:
    """Controls, the loss with and without, the switches."""
    st.caption(HOW)
    look = sight.look
    parts = engine.parts(look.path, look.stamp)
    off: set[Part] = st.session_state.setdefault(OFF, set())
    off &= set(parts)  # another model may not have them
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium", key="inside_switches"):
        replacement = st.segmented_control(
            "In its place stands", list(REPLACEMENTS), key="inside_replacement", default="mean", required=True,
            format_func=REPLACEMENTS.__getitem__, persist_state="session",
            help="The mean takes away only what differs from token to token; nothing is harsher. Typical: the mean.",
        ) or "mean"  # fmt: skip
        if st.button("Measure every part", icon=":material/grid_on:", key="inside_measure"):
            st.session_state[MEASURED] = (look, replacement)
        st.button(
            "Switch all on", key="inside_all_on", type="tertiary", icon=":material/restart_alt:", disabled=not off,
            on_click=off.clear,
        )  # fmt: skip
    changes: dict[Part, float] = {}
    if st.session_state.get(MEASURED) == (look, replacement):
        changes = _measure(look, parts, replacement)
    _draw_losses(sight, off, replacement)
    part_grid.show(parts, off, changes, key=GRID, on_part=_toggle)


def _measure(look: Look, parts: list[Part], replacement: str) -> dict[Part, float]:
    """The change of the loss without each part, layer by layer, with a bar where that takes time."""
    layers = sorted({part[0] for part in parts})
    place, started = st.empty(), time.monotonic()
    changes: dict[Part, float] = {}
    for done, layer in enumerate(layers):
        if time.monotonic() - started > QUIET_SECONDS:
            place.progress(done / len(layers), f"Measuring layer {layer}, {done} of {len(layers)} done")
        own = [part for part in parts if part[0] == layer]
        whole, *without = engine.losses_without(look, ((), *((part,) for part in own)), replacement)
        changes |= {part: loss - whole for part, loss in zip(own, without, strict=True)}
    place.empty()
    return changes


def _draw_losses(sight: Sight, off: set[Part], replacement: str) -> None:
    """The loss of the whole model, and of what is left of it."""
    whole, left = engine.losses_without(sight.look, ((), tuple(sorted(off, key=str))), replacement)
    with st.container(horizontal=True, gap="large", key="inside_losses"):
        st.metric("Loss of the whole model", f"{number(whole)} nats", width="content")
        if off:
            words = ", ".join(f"layer {part[0]} {part_grid.title_of(part)}" for part in sorted(off, key=str)[:3])
            more = f" and {len(off) - 3} more" if len(off) > 3 else ""
            st.metric(
                f"Without {words}{more}", f"{number(left)} nats", delta=f"{left - whole:+.3f} nats per token",
                delta_color="inverse", width="content",
            )  # fmt: skip


def _toggle() -> None:
    layer, kind, head = st.session_state[GRID]["part"].split("/")
    part = (int(layer), kind, int(head) if head else None)
    st.session_state[OFF] ^= {part}
