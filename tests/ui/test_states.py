"""A run's state in words."""

import pytest

from runs.state import RESUMABLE, STORED, RunStatus
from ui.run_header import best_evaluation
from ui.states import STATES, remaining_text, share_done, steps_text


def test_every_state_has_words():
    assert set(STATES) == STORED | RESUMABLE | {"stalled", "unreadable"}


@pytest.mark.parametrize(
    ("status", "seconds_per_step", "text"),
    [
        (RunStatus(state="running", step=100, max_steps=300), 0.5, "1 min 40 s left"),
        (RunStatus(state="running", step=100, max_steps=300), None, ""),
        (RunStatus(state="starting"), None, ""),
        (RunStatus(state="paused", step=100, max_steps=300), 0.5, "trained for 50 s"),
        (RunStatus(state="finished", step=300, max_steps=300), 0.5, "trained for 50 s"),
    ],
)
def test_time_left(status, seconds_per_step, text):
    assert remaining_text(status, seconds_per_step, elapsed_seconds=50) == text


def test_steps_and_share():
    status = RunStatus(state="running", step=1_240, max_steps=2_000)
    assert steps_text(status) == "1,240 of 2,000 steps" and share_done(status) == 0.62
    assert steps_text(RunStatus(state="queued")) == "no steps yet" and share_done(RunStatus(state="queued")) == 0


def test_a_loss_that_is_no_number_is_not_the_best():
    rows = [{"step": 0, "val_loss_nats": float("nan")}, {"step": 1, "val_loss_nats": 2.0}]
    assert best_evaluation(rows)["step"] == 1 and best_evaluation([]) == {}
