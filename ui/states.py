"""The states of a run as a person reads them: a word, a colour, an icon and what it means."""

from dataclasses import dataclass
from typing import Literal

from runs.state import RunStatus
from ui.words import duration


@dataclass(frozen=True)
class StateWords:
    """How one state is shown; the word says what the colour says."""

    word: str
    color: Literal["gray", "blue", "green", "orange", "red", "primary"]
    icon: str
    meaning: str


STATES = {
    "queued": StateWords("queued", "gray", ":material/hourglass_top:", "Waiting for its turn to train."),
    "starting": StateWords("starting", "blue", ":material/autorenew:", "Loading, and preparing the text."),
    "running": StateWords("running", "green", ":material/play_arrow:", "Training."),
    "paused": StateWords("paused", "orange", ":material/pause:", "Saved and waiting; Resume goes on."),
    "stopping": StateWords("stopping", "orange", ":material/stop:", "Saving a checkpoint, then it ends."),
    "stopped": StateWords("stopped", "gray", ":material/stop:", "Saved and ended; Resume goes on from there."),
    "finished": StateWords("finished", "primary", ":material/check:", "All steps are done."),
    "failed": StateWords("failed", "red", ":material/error:", "It ended with an error."),
    "orphaned": StateWords("orphaned", "red", ":material/link_off:", "Its process is gone; Resume goes on."),
    "stalled": StateWords("stalled", "orange", ":material/timer_off:", "Its process lives but has long been silent."),
    "unreadable": StateWords("unreadable", "red", ":material/broken_image:", "Its files cannot be read."),
}  # fmt: skip


def trained_elsewhere(status: RunStatus) -> bool:
    """Whether the run was imported: it is finished, and no step was ever made here."""
    return status.state == "finished" and not status.step


def steps_text(status: RunStatus) -> str:
    """1,240 of 2,000 steps; of a run that was imported and never trained here, that."""
    if trained_elsewhere(status):
        return "trained elsewhere"
    if status.max_steps is None:
        return f"step {status.step:,}" if status.step else "no steps yet"
    return f"{status.step:,} of {status.max_steps:,} steps"


def share_done(status: RunStatus) -> float:
    """Progress between 0 and 1."""
    if status.state == "finished":
        return 1.0
    return min(1.0, status.step / status.max_steps) if status.max_steps else 0.0


def remaining_text(status: RunStatus, seconds_per_step: float | None, elapsed_seconds: float) -> str:
    """What to say beside the progress bar: how long it still takes, or how long it took.

    Args:
        seconds_per_step: by the clock, with everything that happens between steps; None when not known yet.
        elapsed_seconds: of training so far.
    """
    if status.state == "running" and status.max_steps and seconds_per_step is not None:
        return f"{duration((status.max_steps - status.step) * seconds_per_step)} left"
    if status.state in ("running", "starting", "queued", "stalled") or not elapsed_seconds:
        return ""
    return f"trained for {duration(elapsed_seconds)}"
