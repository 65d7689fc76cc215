"""The state of a run: what its worker writes, and what every reader concludes from that, the lock and the clock."""

from __future__ import annotations

import contextlib
import os
import statistics
import time
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import psutil

from config.errors import RunError
from runs import control
from runs.control import GRACE_SECONDS
from runs.files import read_json, sweep_temporary_files, write_json
from runs.lock import is_locked

if TYPE_CHECKING:
    from runs.folder import RunFolder

# Which state may follow which; "" is a folder whose worker has not spoken yet in this attempt.
FOLLOWERS = {
    "": {"queued", "starting", "finished", "failed"},
    "queued": {"starting", "running", "paused", "stopping", "stopped", "failed"},
    "starting": {"queued", "running", "stopping", "stopped", "finished", "failed"},
    "running": {"paused", "stopping", "stopped", "finished", "failed"},
    "paused": {"queued", "running", "stopping", "stopped", "finished", "failed"},
    "stopping": {"stopped", "finished", "failed"},
    "stopped": set(),
    "finished": set(),
    "failed": set(),
}
STORED = frozenset(FOLLOWERS) - {""}
TERMINAL = frozenset({"stopped", "finished", "failed"})
LIVE = frozenset({"queued", "starting", "running", "paused", "stopping", "stalled"})
RESUMABLE = frozenset({"stopped", "failed", "orphaned"})

STALE_SECONDS = 30.0
STALE_STEPS = 5
HEARTBEAT_SECONDS = 1.0
_REASON_LIMIT = 2_000
_BEING_STARTED = "The worker is being started."
_NEVER_SPOKE = "The worker was started and ended before it said anything; see the log."


@dataclass(frozen=True, kw_only=True)
class RunStatus:
    """What a reader knows about a run at one moment."""

    state: str
    """One of the stored states, or orphaned, stalled, unreadable."""
    reason: str = ""
    """Why it is in this state, in a sentence; empty where the state says it all."""
    step: int = 0
    """Optimizer steps done."""
    max_steps: int | None = None
    """Optimizer steps asked for; None until the worker knows, where config.json says epochs."""
    heartbeat: float | None = None
    """Time of the worker's last word, in seconds since 1970."""
    started: float | None = None
    """When this attempt began, in seconds since 1970."""
    pid: int | None = None
    process_created: float | None = None
    """When the process `pid` was created: together they name one process, a pid alone does not."""
    attempt: int = 0
    """1 for the first worker of this run, one more for each resume."""
    stale_after_seconds: float = STALE_SECONDS
    """Silence after which the run counts as stalled: 30 s, or five median steps if that is longer."""
    last_checkpoint: str | None = None
    best_checkpoint: str | None = None
    best_val_loss_nats: float | None = None
    queued_behind: str | None = None
    """Id of the run that is next in front of this queued one."""

    @property
    def live(self) -> bool:
        """Whether there is a worker to send messages to."""
        return self.state in LIVE

    @property
    def terminal(self) -> bool:
        """Whether the worker ended and said so."""
        return self.state in TERMINAL

    @property
    def resumable(self) -> bool:
        """Whether a new worker can take the run over."""
        return self.state in RESUMABLE


class StateWriter:
    """Writes state.json; only the worker that holds the run's lock may have one.

    The order at the start of a worker: take the lock, `StateWriter(run)`, `set("starting")`, take the slot, with
    `set("queued")` and again `set("starting")` where another run has it. The first word also takes over the control
    folder and counts the attempt.
    """

    def __init__(self, run: RunFolder) -> None:
        self._run = run
        before: dict[str, Any] = {}
        with contextlib.suppress(RunError):  # the first attempt, or a state.json that this one replaces
            before = _read_stored(run)
        kept = ("step", "max_steps", "last_checkpoint", "best_checkpoint", "best_val_loss_nats")
        self._values: dict[str, Any] = {name: before.get(name) for name in kept} | {
            "state": "",
            "step": before.get("step", 0),
            "pid": os.getpid(),
            "process_created": psutil.Process().create_time(),
            "started": time.time(),
            "attempt": before.get("attempt", 0) + 1,
        }
        self._step_seconds: deque[float] = deque(maxlen=101)
        self._last_step_time: float | None = None
        self._last_write_time = 0.0

    @property
    def attempt(self) -> int:
        """1 for the first worker of this run."""
        return int(self._values["attempt"])

    def set(self, state: str, reason: str = "", **values: Any) -> None:
        """Enter `state` and write it at once.

        Args:
            values: any of step, max_steps, last_checkpoint, best_checkpoint, best_val_loss_nats, queued_behind.

        Raises:
            OSError: the disk is full or gone; the old state.json is untouched.
        """
        current = self._values["state"]
        assert state in STORED, f"{state} is not a state a worker may write"
        assert state == current or state in FOLLOWERS[current], f"a run does not go from {current} to {state}"
        if state != "queued":
            self._values["queued_behind"] = None
        self._values |= {"state": state, "reason": reason[:_REASON_LIMIT]}
        self._last_step_time = None
        self.update(**values)
        if not current:
            control.take_over(self._run)
            sweep_temporary_files(self._run.path)

    def update(self, **values: Any) -> None:
        """Write `values` at once without changing the state."""
        for name in values:
            assert name in _WRITABLE, f"{name} is not a value of state.json"
        self._values |= values
        self._values["heartbeat"] = time.time()
        if self._step_seconds:
            median = statistics.median(self._step_seconds)
            self._values["stale_after_seconds"] = max(STALE_SECONDS, STALE_STEPS * median)
        write_json(self._run.state_path, self._values)
        self._last_write_time = time.monotonic()

    def step(self, step: int) -> None:
        """Note that optimizer step `step` is done. Call it at every step: it writes at most once a second."""
        now = time.monotonic()
        if self._last_step_time is not None:
            self._step_seconds.append(now - self._last_step_time)
        self._last_step_time = now
        self._values["step"] = step
        if now - self._last_write_time >= HEARTBEAT_SECONDS:
            self.update()

    def beat(self) -> None:
        """Show that the worker lives, as often as it likes: in evaluation, sampling, preparing data, and in a pause."""
        if time.monotonic() - self._last_write_time >= HEARTBEAT_SECONDS:
            self.update()


_WRITABLE = {"step", "max_steps", "last_checkpoint", "best_checkpoint", "best_val_loss_nats", "queued_behind"}


def read_status(run: RunFolder) -> RunStatus:
    """The state of `run`, derived ones included; never raises for what is in the folder.

    Costs one or two small reads and a lock probe (about 0.2 ms).
    """
    try:
        stored = _read_stored_or_none(run)
        locked = is_locked(run)
        if not locked and (stored is None or stored["state"] not in TERMINAL):
            # The worker writes its last state before it lets go of the lock, so a state that was read after the lock
            # was seen free is final, and one that was read before may not be.
            stored = _read_stored_or_none(run)
    except RunError as error:
        return RunStatus(state="unreadable", reason=str(error))
    status = _derive(run, stored, locked)
    return status if status.max_steps else replace(status, max_steps=_steps_asked_for(run))


def _steps_asked_for(run: RunFolder) -> int | None:
    """What config.json says before the worker has counted; of epochs it must count the tokens first."""
    try:
        training = run.read_config().training
    except RunError:
        return None
    return training.max_steps if training.epochs is None else None


def _derive(run: RunFolder, stored: dict[str, Any] | None, locked: bool) -> RunStatus:
    now = time.time()
    launch_alive = control.is_launch_alive(run)
    if stored is None:
        return _derive_unspoken(run, locked, launch_alive, now)
    status = RunStatus(**stored)
    silence = now - (status.heartbeat or 0.0)
    if launch_alive:
        return _changed(status, "starting", _BEING_STARTED)
    if locked:
        if not status.terminal and silence > status.stale_after_seconds:
            return _changed(status, "stalled", f"Nothing heard from the worker for {silence:.0f} seconds.")
        return status
    if launch_alive is False:
        return _changed(status, "orphaned", _NEVER_SPOKE)
    if status.terminal or (status.state in ("queued", "starting") and silence <= GRACE_SECONDS):
        return status
    return _changed(
        status, "orphaned", f"The worker ended without a word while {status.state} (killed, out of memory, or power)."
    )


def _derive_unspoken(run: RunFolder, locked: bool, launch_alive: bool | None, now: float) -> RunStatus:
    """The state of a folder without state.json."""
    if locked or launch_alive:
        return RunStatus(state="starting", reason=_BEING_STARTED)
    if launch_alive is False:
        return RunStatus(state="orphaned", reason=_NEVER_SPOKE)
    for path in (run.config_path, run.path):  # a folder that was made this moment has no config.json yet
        with contextlib.suppress(OSError):
            if now - os.stat(path, follow_symlinks=False).st_mtime <= GRACE_SECONDS:
                return RunStatus(state="starting", reason=_BEING_STARTED)
            if path == run.config_path:
                return RunStatus(state="orphaned", reason="No worker ever took this run.")
    return RunStatus(state="unreadable", reason="config.json is missing: this is not a run, or it was damaged.")


def _changed(status: RunStatus, state: str, reason: str) -> RunStatus:
    return replace(status, state=state, reason=reason)


_TYPES: dict[str, tuple[type, ...]] = {
    "state": (str,), "reason": (str,), "step": (int,), "max_steps": (int,), "heartbeat": (int, float),
    "started": (int, float), "pid": (int,), "process_created": (int, float), "attempt": (int,),
    "stale_after_seconds": (int, float), "last_checkpoint": (str,), "best_checkpoint": (str,),
    "best_val_loss_nats": (int, float), "queued_behind": (str,),
}  # fmt: skip


def _read_stored_or_none(run: RunFolder) -> dict[str, Any] | None:
    return _read_stored(run) if os.path.lexists(run.state_path) else None


def _read_stored(run: RunFolder) -> dict[str, Any]:
    """The values of state.json that this version knows, without those that are null.

    Raises:
        RunError: it cannot be read, or a value has the wrong type.
    """
    values = read_json(run.state_path)
    if not isinstance(values, dict) or values.get("state") not in STORED:
        raise RunError("state.json holds no state that this version knows.")
    known = {name: values[name] for name in _TYPES if values.get(name) is not None}
    for name, value in list(known.items()):
        if name == "best_val_loss_nats" and isinstance(value, str):  # "nan": a loss that is no number is not the best
            del known[name]
        elif type(value) not in _TYPES[name]:
            raise RunError(f"state.json is damaged: {name} is {str(value)[:40]!r}.")
    return known
