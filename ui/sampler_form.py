"""How the next token is drawn: three presets, behind them the sliders they set, and behind those the rarer samplers."""

from typing import Any

import streamlit as st

from ui.sampler_settings import MOST_SAMPLES, PRESETS, SamplerSettings, describe, stop_strings
from ui.words import literal

FIRST = "balanced"
MEANINGS = {
    "greedy": "Always the most likely token: the same text each time, and soon in circles.",
    "balanced": "Mostly likely tokens, some surprises.",
    "creative": "Rare tokens get their chance, mistakes too.",
}
# The rarer samplers: setting, label, lowest, highest, step, off, and what it does with a typical value.
RARER: tuple[tuple[str, str, float, float, float, float, str], ...] = (
    ("min_p", "Min-p", 0.0, 0.5, 0.01, 0.0,
     "Draw from tokens at least so many times as likely as the likeliest; 0 is off. Typical: off, or 0.05."),
    ("typical", "Typical", 0.05, 1.0, 0.01, 1.0,
     "Draw from the tokens of about the expected surprise that reach this mass; 1 is off. Typical: off, or 0.9."),
    ("repetition_penalty", "Repetition penalty", 1.0, 2.0, 0.05, 1.0,
     "Makes every token less likely that stands in prompt or text; 1 is off. Typical: off, or 1.1."),
    ("frequency_penalty", "Frequency penalty", 0.0, 2.0, 0.05, 0.0,
     "Taken off a token's logit each time it was written; 0 is off. Typical: off, or 0.3."),
    ("presence_penalty", "Presence penalty", 0.0, 2.0, 0.05, 0.0,
     "Taken off a token's logit once if it was written at all; 0 is off. Typical: off, or 0.3."),
    ("no_repeat_ngram_size", "No n-gram twice", 0, 10, 1, 0,
     "No sequence of so many tokens comes a second time; 0 is off. Typical: off; 3 for words, 10 for characters."),
)  # fmt: skip
EACH = "\n".join(f"- **{name}**: {meaning}" for name, meaning in MEANINGS.items())


def draw() -> SamplerSettings:
    """The controls; kept for the session."""
    for name, value in PRESETS[FIRST].items():
        st.session_state.setdefault(f"sampler_{name}", value)
    st.session_state.setdefault("seed", 1)  # not the field's own default: Regenerate writes it, too
    st.segmented_control(
        "Sampler", list(PRESETS), default=FIRST, key="sampler", on_change=_apply_preset, persist_state="session",
        width="stretch", help=f"How the next token is drawn. Typical: balanced.\n{EACH}",
    )  # fmt: skip
    left, right = st.columns(2)
    max_new_tokens = left.number_input(
        "New tokens", 1, 5_000, 300, 50, key="max_new_tokens", persist_state="session",
        help="How much to write at most. Typical: 300.",
    )  # fmt: skip
    samples = right.number_input(
        "Samples", 1, MOST_SAMPLES, 1, 1, key="samples", persist_state="session",
        help="How many texts to write side by side, each with the next seed. Typical: 1, or 3 to compare.",
    )  # fmt: skip
    with st.expander("Adjust the sampler", key="adjust_sampler"):
        values = _draw_sliders()
    with st.expander("More samplers", key="more_samplers"):
        values |= _draw_rarer(values["greedy"])
    settings = SamplerSettings(**values, max_new_tokens=int(max_new_tokens), samples=int(samples))
    st.caption(f"Order: {literal(describe(settings))}")
    return settings


def _draw_sliders() -> dict[str, Any]:
    """What the presets set, and the seed."""
    greedy = st.toggle(
        "Greedy", key="sampler_greedy", on_change=_note_change, persist_state="session",
        help="Always take the most likely token; the three sliders then have no effect. Typical: off.",
    )  # fmt: skip
    temperature = _slider(
        "Temperature", 0.05, 2.0, 0.05, "temperature", greedy,
        "Below 1 sharpens the probabilities, above 1 flattens them. Typical: 0.8.",
    )  # fmt: skip
    top_k = _slider(
        "Top-k", 0, 200, 1, "top_k", greedy,
        "Draw from the k most likely tokens only; 0 is off. Typical: off, or 40.",
    )  # fmt: skip
    top_p = _slider(
        "Top-p", 0.05, 1.0, 0.01, "top_p", greedy,
        "Draw from the fewest tokens whose probabilities reach p; 1 is off. Typical: 0.9.",
    )  # fmt: skip
    seed = st.number_input(
        "Seed", 0, 2**31 - 1, step=1, key="seed", persist_state="session",
        help="The same seed, prompt and sampler give the same text. Typical: any.",
    )  # fmt: skip
    return {"greedy": greedy, "temperature": float(temperature), "top_k": int(top_k), "top_p": float(top_p),
            "seed": int(seed)}  # fmt: skip


def _draw_rarer(greedy: bool) -> dict[str, Any]:
    """Samplers that most texts do without; each is off until it is moved."""
    values: dict[str, Any] = {}
    for name, label, low, high, step, off, explained in RARER:
        values[name] = st.slider(
            label, low, high, off, step=step, key=f"sampler_{name}", help=explained, persist_state="session",
            disabled=greedy and name in ("min_p", "typical"),
        )  # fmt: skip
    values["min_new_tokens"] = int(st.number_input(
        "Minimum new tokens", 0, 5_000, 0, 10, key="min_new_tokens", persist_state="session",
        help="Tokens that are written before an end of the text or a stop string counts. Typical: 0.",
    ))  # fmt: skip
    lines = st.text_area(
        "Stop strings", key="stop_strings", height=80, max_chars=1_000, persist_state="session",
        placeholder=r"one a line; \n is a line break",
        help="The text ends before the first of them. Typical: none, or \\\\n\\\\n for one paragraph.",
    )  # fmt: skip
    return values | {"stop": stop_strings(lines)}


def _slider(label: str, low: float, high: float, step: float, name: str, disabled: bool, explained: str) -> float:
    return st.slider(
        label, low, high, step=step, key=f"sampler_{name}", disabled=disabled, help=explained,
        on_change=_note_change, persist_state="session",
    )  # fmt: skip


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
