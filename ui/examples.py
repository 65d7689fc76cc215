"""Things to try on Train: each fills the form with something worth seeing."""

from collections.abc import Callable

import streamlit as st

from ui import form, preset_buttons, text_panel


def llama_on_own_text() -> None:
    """A tiny LLaMA, and the place to bring a text."""
    preset_buttons.apply_preset("llama", "tiny")
    st.session_state["text-source"] = text_panel.OWN
    st.session_state["form-tab"] = "Text"
    text_panel.choose_source()


def gpt_without_positions() -> None:
    """How far does a causal model get that is never told the order of tokens?"""
    preset_buttons.apply_preset("gpt2", "tiny")
    form.write("model", {"position": "none"})


def deep_olmo() -> None:
    """Twice the layers at the same width."""
    preset_buttons.apply_preset("olmo", "tiny")
    form.write("model", {"n_layers": 2 * st.session_state["model-n_layers"]})


def llama_with_experts() -> None:
    """Eight MLPs instead of one, of which a token visits two; Compare then trains the dense twin."""
    preset_buttons.apply_preset("llama", "tiny")
    form.write("model", {"n_experts": 8, "experts_per_token": 2, "d_expert": st.session_state["model-d_mlp"] // 2})


EXAMPLES: dict[str, Callable[[], None]] = {
    "a LLaMA on my own text": llama_on_own_text,
    "GPT-2 without positions": gpt_without_positions,
    "OLMo, twice as deep": deep_olmo,
    "LLaMA with 8 experts": llama_with_experts,
}


def draw() -> None:
    """One quiet line of links."""
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="right", key="examples"):
        st.caption("Try:", width="content")
        for number, (label, fill) in enumerate(EXAMPLES.items()):
            st.button(label, key=f"example-{number}", type="tertiary", on_click=fill)
