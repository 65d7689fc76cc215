"""Signals that ask a worker to stop: Ctrl-C, a polite kill, a terminal that is closed. They only count themselves."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# `timeout`, torchrun and wrappers of Python pass a signal on that the terminal has sent to the whole group already.
SAME_SIGNAL_SECONDS = 0.3


class StopSignals:
    """The first signal asks for a stop with an evaluation and a checkpoint, the second for one without evaluation.

    The third ends the process at once.
    """

    def __init__(self) -> None:
        self.count = 0
        self._last_time = -SAME_SIGNAL_SECONDS

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Listen while this lasts; a signal that the parent had ignored (nohup does that with SIGHUP) stays ignored."""
        listened = [number for number in STOP_SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
        before = {number: signal.signal(number, self._hear) for number in listened}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        before, self._last_time = self._last_time, time.monotonic()
        if self._last_time - before < SAME_SIGNAL_SECONDS:
            return
        self.count += 1
        if self.count > 1:
            signal.signal(number, signal.SIG_DFL)
