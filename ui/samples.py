"""What a run wrote while it learned: the same prompt and seed each time, the newest text on top."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from ui.words import number

NEWEST, OLDER = 6, 10  # texts that are drawn: the newest ones, and a thinning selection back to the first


def choose(total: int, newest: int = NEWEST, older: int = OLDER) -> list[int]:
    """Which of `total` texts to draw, newest first: the last ones, then ever wider steps back to the very first.

    Early texts change fastest, so the selection is geometric in the number of the evaluation.
    """
    recent = list(range(total - 1, max(-1, total - 1 - newest), -1))
    rest = total - len(recent)
    if rest <= older:
        return recent + list(range(rest - 1, -1, -1))
    spread = {round((rest ** (index / (older - 1))) - 1) for index in range(older)}
    return recent + sorted(spread, reverse=True)


def draw(samples: Sequence[dict[str, Any]], losses: dict[float, float], height: int) -> None:
    """A scrolling column of texts, each under its step and the validation loss at that step.

    The text is the model's own and may look like anything: it is drawn as code, never as Markdown.
    """
    with st.container(height=height, border=False, key="samples"):
        if not samples:
            st.caption("The model's first words appear here after the first evaluation.")
        chosen = choose(len(samples))
        for index in chosen:
            sample = samples[index]
            step = sample.get("step", 0)
            loss = f" · validation {number(losses[step])}" if step in losses else ""
            st.caption(f"step {step:,.0f}{loss}")
            st.code(
                f"{sample.get('prompt', '')}{sample.get('text', '')}".strip("\n") or " ", language=None, wrap_lines=True
            )
        if len(chosen) < len(samples):
            st.caption(f"{len(chosen)} of {len(samples):,} texts; all are in samples.jsonl.")
