"""The Code panel: the source of exactly the chosen components, in the three ways it is written."""

import streamlit as st

from config.catalog import IMPLEMENTATIONS
from config.model_config import ModelConfig
from ui.sources import Source, chosen_components, read_source

LINE_HEIGHT, PADDING, MOST_HEIGHT = 20, 40, 300  # of a code block, in pixels
SHORT = {
    "embedding": "Embedding",
    "block": "Block",
    "norm": "Norm",
    "attention": "Attention",
    "mlp": "MLP",
    "experts": "Experts",
    "routing": "Router",
    "unembedding": "Unembedding",
    "position": "Positions",
}
SAYS = {
    "einops": "says what happens, axis by axis",
    "torch": "the same with plain tensor operations",
    "fused": "the same with fused kernels: what trains by default",
}


def draw(config: ModelConfig) -> None:
    """One component at a time; all three implementations on request."""
    chosen = chosen_components(config)
    if st.session_state.get("code-slot") not in chosen:  # at first, or when there are no positions any more
        st.session_state["code-slot"] = "attention"
    st.session_state.setdefault("code-kind", "einops")
    slot = st.pills(
        "Part", list(chosen), key="code-slot", required=True, label_visibility="collapsed",
        format_func=SHORT.__getitem__, persist_state="session",
    ) or "attention"  # fmt: skip
    source = read_source(slot, chosen[slot])
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        kind = st.segmented_control(
            "Implementation", IMPLEMENTATIONS, key="code-kind", required=True,
            label_visibility="collapsed", persist_state="session",
        )  # fmt: skip
        if st.button("Side by side", key="side-by-side", icon=":material/view_column:", type="tertiary"):
            compare(source)
    code = source.implementations[kind or "einops"]
    st.code(code, language="python", height=height_of(code), wrap_lines=True)
    st.caption(f"{source.about.title} · {source.about.file} · {source.about.paper}")
    with st.expander("Parameters, formula and paper: shared by all three", key="code-shared"):
        st.code(source.explanation, language=None, wrap_lines=True)
        st.code(source.base, language="python", wrap_lines=True)


def height_of(code: str) -> int:
    """As high as the code, up to where the Start button would leave the screen."""
    return min(MOST_HEIGHT, LINE_HEIGHT * (code.count("\n") + 1) + PADDING)


@st.dialog("Three ways to write it", width="large")
def compare(source: Source) -> None:
    """The three implementations beside each other, over the whole width."""
    st.markdown(f"**{source.about.title}** · {source.about.summary}")
    for column, kind in zip(st.columns(3), IMPLEMENTATIONS, strict=True):
        with column:
            st.markdown(f"**{kind}**")
            st.caption(SAYS[kind])
            st.code(source.implementations[kind], language="python", height=480, wrap_lines=True)
    st.caption(f"Same parameters, same results, tested for outputs and gradients. {source.about.file}")
