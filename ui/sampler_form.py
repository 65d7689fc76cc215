"""How the next token is drawn: three presets, and behind them the sliders they set."""

from dataclasses import dataclass
from typing import Any

import streamlit as st

PRESETS: dict[str, dict[str, Any]] = {
    "greedy": {"greedy": True},
    "balanced": {"greedy": False, "temperature": 0.8, "top_k": 0, "top_p": 0.9},
    "creative": {"greedy": False, "temperature": 1.1, "top_k": 0, "top_p": 0.98},
}
FIRST = "balanced"
MEANINGS = {
    "greedy": "Always the most likely token: the same text each time, and soon in circles.",
    "balanced": "Mostly likely tokens, some surprises.",
    "creative": "Rare tokens get their chance, mistakes too.",
}


@dataclass(frozen=True)
class SamplerSettings:
    """What `generation.samplers.build_samplers` takes, and seed and length."""

    greedy: bool
    temperature: float
    top_k: int
    top_p: float
    seed: int
    max_new_tokens: int


def draw() -> SamplerSettings:
    """The controls; kept for the session."""
    for name, value in PRESETS[FIRST].items():
        st.session_state.setdefault(f"sampler_{name}", value)
    st.segmented_control(
        "Sampler", list(PRESETS), default=FIRST, key="sampler", on_change=_apply_preset, persist_state="session",
        width="stretch", help="\n".join(f"- **{name}**: {meaning}" for name, meaning in MEANINGS.items()),
    )  # fmt: skip
    with st.expander("Fine-tune the sampler"):
        greedy = st.toggle(
            "Greedy", key="sampler_greedy", on_change=_note_change, persist_state="session",
            help="Always take the most likely token. The three sliders then have no effect.",
        )  # fmt: skip
        temperature = _slider(
            "Temperature", 0.05, 2.0, 0.05, "sampler_temperature", greedy,
            "Below 1 sharpens the probabilities, above 1 flattens them. Typical: 0.8.",
        )  # fmt: skip
        top_k = _slider(
            "Top-k",
            0,
            200,
            1,
            "sampler_top_k",
            greedy,
            "Draw from the k most likely tokens only; 0 is off. Typical: off, or 40.",
        )
        top_p = _slider(
            "Top-p", 0.05, 1.0, 0.01, "sampler_top_p", greedy,
            "Draw from the fewest tokens whose probabilities reach p; 1 is off. Typical: 0.9.",
        )  # fmt: skip
    left, right = st.columns(2)
    max_new_tokens = left.number_input(
        "New tokens", 1, 5_000, 300, 50, key="max_new_tokens", persist_state="session",
        help="How much to write at most. Typical: 300.",
    )  # fmt: skip
    seed = right.number_input(
        "Seed", 0, 2**31 - 1, 1, 1, key="seed", persist_state="session",
        help="The same seed, prompt and sampler give the same text.",
    )  # fmt: skip
    return SamplerSettings(greedy, float(temperature), int(top_k), float(top_p), int(seed), int(max_new_tokens))


def _slider(label: str, low: float, high: float, step: float, key: str, disabled: bool, explained: str) -> float:
    return st.slider(
        label,
        low,
        high,
        step=step,
        key=key,
        disabled=disabled,
        help=explained,
        on_change=_note_change,
        persist_state="session",
    )


def _apply_preset() -> None:
    for name, value in PRESETS.get(st.session_state["sampler"], {}).items():
        st.session_state[f"sampler_{name}"] = value


def _note_change() -> None:
    """Show the preset whose values the sliders have, or none."""
    st.session_state["sampler"] = next(
        (
            preset
            for preset, values in PRESETS.items()
            if all(st.session_state[f"sampler_{name}"] == value for name, value in values.items())
        ),
        None,
    )


def describe(settings: SamplerSettings) -> str:
    """The chain in words: temperature 0.8 → top-p 0.9."""
    if settings.greedy:
        return "greedy"
    parts = [f"temperature {settings.temperature:g}"] if settings.temperature != 1 else []
    parts += [f"top-k {settings.top_k}"] if settings.top_k else []
    parts += [f"top-p {settings.top_p:g}"] if settings.top_p < 1 else []
    return " → ".join(parts) or "the model's own probabilities"
