"""The door from the Proof panel to `interpret.prove`; as in `ui/engines.py`, the engine comes when it is called."""

from dataclasses import dataclass

import streamlit as st

from config.model_config import ModelConfig


@dataclass(frozen=True)
class Proven:
    """What a proof said: each check's name, whether it holds and its numbers; in words what it was about."""

    checks: tuple[tuple[str, bool, str], ...]
    about: str
    seconds: float


@st.cache_data(max_entries=32, show_spinner="Proving …")
def prove(config: ModelConfig) -> Proven:
    """The five checks of a configuration.

    Raises:
        ConfigError: it cannot be proved.
    """
    from interpret.prove import prove as proof_of
    from interpret.report import what_was_proved

    proof = proof_of(config)
    checks = tuple((check.name, check.passed, check.sentence) for check in proof.checks)
    return Proven(checks, what_was_proved(proof), proof.seconds)
