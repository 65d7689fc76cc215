"""The Prove-it panel: five checks of the configuration in the form, before anything is trained."""

import html

import streamlit as st

from config.model_config import ModelConfig
from ui import proof_engine as engine
from ui.words import literal

ASKED = "prove_asked"  # session key: the configuration whose proof was asked for
ABOUT = (
    "In a few seconds, with numbers: all implementations give the same logits and gradients; no token sees the future; "
    "the KV cache gives what the whole text gives; the gradients are the slopes that finite differences measure; the "
    "model has as many parameters as predicted."
)


def draw(config: ModelConfig, *, stale: bool = False) -> None:
    """A button, and below it what was found for exactly this configuration."""
    st.caption(ABOUT)
    if stale:
        st.caption("It is about the last settings that went together; the form says something else now.")
    asked = st.session_state.get(ASKED)
    label = "Prove it" if asked in (None, config) else "Prove it again: the model has changed"
    if st.button(label, key="prove", icon=":material/verified:", disabled=asked == config):
        st.session_state[ASKED] = config
        st.rerun()
    if asked != config:
        return
    try:
        found = engine.prove(config)
    except ValueError as error:
        st.error(literal(str(error)), icon=":material/error:")
        return
    st.html(as_list(found))


def as_list(found: engine.Proven) -> str:
    """Each check with a word and its numbers, then what was proved."""
    rows = "".join(
        f"<li class='{'holds' if passed else 'fails'}'><b>{'holds' if passed else 'fails'}</b>"
        f"<div>{html.escape(name)}<p>{html.escape(sentence)}</p></div></li>"
        for name, passed, sentence in found.checks
    )
    failed = sum(not passed for _, passed, _ in found.checks)
    verdict = "All five hold" if not failed else f"{failed} of {len(found.checks)} fail: do not trust this model"
    return (
        f"<ul class='proof'>{rows}</ul>"
        f"<p class='fact'>{verdict}. Proved in {found.seconds:.1f} s: {html.escape(found.about)}.</p>"
    )
