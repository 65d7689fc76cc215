"""Which checkpoints of the ticked runs write side by side: at first the best of each, or several of one run."""

import zlib
from collections.abc import Mapping, Sequence

import streamlit as st

from config.errors import CheckpointError
from runs.checkpoints import choose, find_steps
from runs.summaries import Summary
from ui import charts, side_by_side
from ui.live import theme
from ui.picked import Picked
from ui.side_by_side import Writer, step_of

MOST = 4  # columns


def draw(picked: Picked) -> None:
    """The list, and below it prompt, settings and a column for each."""
    checkpoints = _checkpoints([picked.reference, *picked.others])
    if not checkpoints:
        st.caption("None of these runs has a checkpoint yet.")
        return
    chosen = _choose(checkpoints)
    labels = {path: checkpoints[path].label for path in chosen}
    side_by_side.draw_writers(
        [Writer(label.name, charts.run_color(label, theme()), path) for path, label in labels.items()]
    )


def _checkpoints(runs: Sequence[Summary]) -> dict[str, Summary]:
    """Every checkpoint of these runs by its path, newest first; a damaged one says so when it is to write."""
    return {str(path): summary for summary in runs for _, path in reversed(find_steps(summary.run.path))}


def _choose(checkpoints: Mapping[str, Summary]) -> list[str]:
    """A list to choose from; another list where other runs are ticked."""
    runs = dict.fromkeys(checkpoints.values())
    best = [path for summary in runs if (path := _best(summary)) in checkpoints]
    chosen: list[str] = st.multiselect(
        "Checkpoints", list(checkpoints), best[:MOST], max_selections=MOST, wrap=True,
        key=f"side_checkpoints-{zlib.crc32(' '.join(summary.run.id for summary in runs).encode())}",
        format_func=lambda path: f"{checkpoints[path].label.name} · step {step_of(path):,}{' · best' * (path in best)}",
        help="Up to four, also of one run: what has it learned in between? Typical: the best of each run.",
    )  # fmt: skip
    return chosen


def _best(summary: Summary) -> str:
    """The best checkpoint of a run, as a path; empty where none can be used."""
    try:
        return str(choose(summary.run))
    except CheckpointError:
        return ""
