"""The row at the top of Train: three architectures as cards, four sizes, and what was changed since."""

import html

import streamlit as st

from config.catalog import IMPLEMENTATIONS
from config.fields import describe
from config.model_config import ModelConfig
from config.presets import PRESET_NAMES, SIZES, has_size, load_preset, preset_info, size_fields
from ui import form, more_architectures, setup

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
    st.session_state["size"] = st.session_state["size-before"] = size
    values = load_preset(preset, size).to_dict()
    form.write("model", values)


def choose_preset(preset: str) -> None:
    """Take another preset in the same size; one of another family's published sizes gives way to the smallest."""
    size = st.session_state["size"]
    apply_preset(preset, size if has_size(preset, size) else FIRST_SIZE)


def apply_size() -> None:
    """Put the size's fields into the form and leave the components as they are.

    A published size sets more than the sizes for training do; what only the one before it has set goes back to what the
    preset says.
    """
    preset, size = st.session_state["preset"], st.session_state["size"]
    before = st.session_state.get("size-before", size)
    if not has_size(preset, before):  # another run was put into the form since
        before = size
    names = size_fields(before, preset).keys() | size_fields(size, preset).keys()
    values = load_preset(preset, size).to_dict()
    form.write("model", {name: values[name] for name in names})
    st.session_state["size-before"] = size


def choose_published(size: str) -> None:
    """Take one of the published sizes, as it was released."""
    apply_preset(st.session_state["preset"], size)


# Which part of the drawing a field belongs to: by its group, or where that would be too coarse by its name.
SLOT_OF_GROUP = {
    "Norms and residual stream": "norm",
    "Positions": "position",
    "Attention": "attention",
    "MLP": "mlp",
    "Experts": "mlp",
    "Embedding and head": "unembedding",
}
SLOT_OF_FIELD = {
    "attention": "attention",
    "position": "position",
    "norm": "norm",
    "mlp": "mlp",
    "d_mlp": "mlp",
    "n_heads": "attention",
    "n_kv_heads": "attention",
    "d_head": "attention",
    "parallel_residual": "block",
    "residual_scale": "block",
    "embedding_scale": "embedding",
    "embedding_norm": "embedding",
}


def slot_of(name: str) -> str | None:
    """The part of the drawing that a field changes; None for sizes that change all of it."""
    return SLOT_OF_FIELD.get(name) or SLOT_OF_GROUP.get(describe(ModelConfig)[name].group)


def changed_slots() -> set[str]:
    """The parts of the drawing that are no longer what the preset says."""
    changed = setup.changes(form.read("model"), st.session_state["preset"], st.session_state["size"])
    return {slot for name in changed if (slot := slot_of(name))}


def draw_implementation() -> None:
    """How the same model is computed; changes no number, only the speed and what there is to read."""
    st.segmented_control(
        "Implementation",
        IMPLEMENTATIONS,
        key="implementation",
        required=True,
        persist_state="session",
        help="How the same model is computed: written out with einops, with plain torch, or with fused kernels. "
        "Parameters and results are the same. Typical: fused.",
    )


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
                on_click=choose_preset,
                args=(name,),
                width="stretch",
                wrap=True,
            )
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", key="size-row"):
        size = st.session_state["size"]
        st.segmented_control(
            "Size",
            SIZES if size in SIZES else (*SIZES, size),
            key="size",
            required=True,
            on_change=apply_size,
            label_visibility="collapsed",
            persist_state="session",
        )
        more_architectures.draw(choose_preset)
        with st.container(horizontal=True, vertical_alignment="center", key="changes"):
            draw_changes()
        more_architectures.draw_published(choose_published)
        draw_details()


def draw_details() -> None:
    """Which fields the preset sets, to what, and where that comes from."""
    info = preset_info(st.session_state["preset"])
    with st.popover(f"What {info.title} sets", icon=":material/list:", type="tertiary"):
        known = describe(ModelConfig)
        words = {
            form.label_of(known[name]): setup.in_words(value)
            for name, value in info.fields.items()
            if name != "d_vocab"
        }
        sizes = {
            form.label_of(known[name]): setup.in_words(v)
            for name, v in size_fields(st.session_state["size"], info.name).items()
        }
        rows = [
            f"<tr><td>{html.escape(k)}</td><td class='amount'>{html.escape(v)}</td></tr>"
            for k, v in (sizes | words).items()
        ]
        st.html(f"<table class='numbers'>{''.join(rows)}</table>")
        st.caption(f"{info.note} {info.source}.")


def draw_changes() -> None:
    """LLaMA, modified: Positions rope → alibi (reset). Otherwise one line about the preset."""
    preset, size = st.session_state["preset"], st.session_state["size"]
    info = preset_info(preset)
    changed = setup.changes(form.read("model"), preset, size)
    if not changed:
        st.caption(info.note, width="stretch")
        return
    words = setup.changes_in_words(changed)  # cut short by the badge where there are many
    st.badge(f"{info.title}, modified: {words}", color="primary", icon=":material/tune:", help=words)
    st.button("Reset", key="reset", type="tertiary", icon=":material/undo:", on_click=apply_preset, args=(preset, size))
