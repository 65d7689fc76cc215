"""The door from the Compare page to what tells models apart; as in `ui/engines.py`, engines are imported when called.

Scoring two checkpoints takes seconds to a minute. It is done beside the page, one pair after the other, and a verdict
is kept for all sessions as long as neither checkpoint changes.
"""

import contextlib
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from config.errors import CheckpointError
from ui.generation_engine import checkpoint_stamp

LIMIT_SECONDS = 60.0  # for one pair
ABANDONED_SECONDS = 10.0  # nobody looks any more: a closed tab says nothing to the server
KEPT = 256
Pair = tuple[str, str]  # step folders: the reference's, and the other's

_turn = threading.Semaphore(1)  # two at once would only slow each other, and a training beside them, down
_kept_lock = threading.Lock()


@dataclass(frozen=True)
class Verdict:
    """The other checkpoint's loss minus the reference's, in bits per byte; `problem` says why there is none."""

    mean: float = 0.0
    low: float = 0.0
    high: float = 0.0
    real: bool = False
    coverage: str = ""
    note: str = ""
    problem: str = ""
    found: Any = None  # an interpret.paired_difference.PairedDifference

    def sentence(self, reference: str, other: str) -> str:
        """The verdict in words. The names are text from outside: never draw it as Markdown or HTML."""
        return self.problem or self.found.sentence(reference, other)


@dataclass(frozen=True)
class Progress:
    """How far the scoring is."""

    active: bool
    share: float  # of all pairs


class Judging:
    """Pairs of checkpoints being compared in a thread of their own; it ends when nobody looks."""

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self._pairs = list(pairs)
        self._done = 0
        self._share = 0.0
        self._looked = time.monotonic()
        self._active = True
        threading.Thread(target=self._run, name="judging", daemon=True).start()

    def look(self) -> Progress:
        """What is done by now; also the sign that somebody is still interested."""
        self._looked = time.monotonic()
        return Progress(self._active, (self._done + self._share) / max(1, len(self._pairs)))

    def _run(self) -> None:
        try:
            with _turn:
                for pair in self._pairs:
                    self._share = 0.0
                    if not self._go_on(0.0):
                        break
                    self._judge_and_keep(pair)
                    self._done += 1
        finally:
            self._active = False

    def _judge_and_keep(self, pair: Pair) -> None:
        try:
            verdict = _judge(pair, self._go_on)
        except Exception as error:  # whatever it is, it must reach the page: nobody reads a thread's traceback
            verdict = Verdict(problem=f"{error}" or type(error).__name__)
        if verdict:
            with contextlib.suppress(CheckpointError):  # deleted meanwhile: there is nothing to keep it under
                _keep(pair, verdict)

    def _go_on(self, share: float) -> bool:
        self._share = share
        return time.monotonic() - self._looked < ABANDONED_SECONDS


def _judge(pair: Pair, go_on: Any) -> Verdict | None:
    import torch

    from interpret.compare_checkpoints import compare_checkpoints
    from runs.checkpoints import choose

    torch.set_num_threads(max(1, (os.cpu_count() or 2) // 2))  # a training on this machine needs the others
    first, second = map(choose, pair)
    found = compare_checkpoints(first, second, limit_seconds=LIMIT_SECONDS, say=go_on)
    if found is None:
        return None
    difference, scale = found.difference, found.bits_per_byte
    return Verdict(
        difference.mean * scale, difference.low * scale, difference.high * scale, difference.real, found.coverage,
        found.text.note, found=difference,
    )  # fmt: skip


@st.cache_resource(show_spinner=False)
def _kept() -> OrderedDict[tuple[str, str], Verdict]:
    """Verdicts by the content of both checkpoints."""
    return OrderedDict()


def _keep(pair: Pair, verdict: Verdict) -> None:
    with _kept_lock:
        _kept()[checkpoint_stamp(pair[0]), checkpoint_stamp(pair[1])] = verdict
        while len(_kept()) > KEPT:
            _kept().popitem(last=False)


def known_verdict(pair: Pair) -> Verdict | None:
    """What was found before.

    Raises:
        CheckpointError: a checkpoint is gone.
    """
    return _kept().get((checkpoint_stamp(pair[0]), checkpoint_stamp(pair[1])))


def over_seeds(reference: Sequence[float], other: Sequence[float]) -> Any:
    """Two configurations by the final losses of several seeds; see `interpret.over_seeds`.

    Raises:
        TextError: fewer than two of one.
    """
    from interpret.over_seeds import over_seeds as judge

    return judge(reference, other)
