"""Before and after: what a run began from and its best checkpoint, with the same prompt and seed."""

import streamlit as st

from config.errors import CheckpointError
from runs.checkpoints import choose, find_steps
from runs.folder import RunFolder
from ui import charts, side_by_side
from ui.curves import read_run
from ui.live import theme
from ui.side_by_side import Writer


def draw(run: RunFolder) -> None:
    """Both texts side by side; nothing for a run that began from nothing, or has no checkpoint yet."""
    writers = writers_of(run)
    if not writers:
        return
    st.subheader("Before and after", anchor=False)
    st.caption("The same prompt and seed: only the weights differ.")
    samples = read_run(run).samples.samples
    prompt = str(samples[-1].get("prompt", "")) if samples else ""
    side_by_side.draw_writers(writers, key=f"before_after_{run.id}", prompt=prompt)


def writers_of(run: RunFolder) -> list[Writer]:
    """What the run began from, and what it has become."""
    base = find_steps(run.base_path)
    try:
        best = choose(run)
    except CheckpointError:
        return []
    if not base:
        return []
    color = charts.run_color(run.read_label(), theme())
    return [Writer("Before", charts.QUIET, str(base[0][1])), Writer("After", color, str(best))]
