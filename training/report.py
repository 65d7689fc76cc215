"""What a worker says while it trains: a bar on a terminal, plain lines everywhere else, and always log.txt."""

import os
import sys
import time
from contextlib import suppress
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from runs.folder import RunFolder


class QuietConsole(Console):
    """A console whose reader may go away (`train.py 2>&1 | head`) without taking the training with it."""

    def on_broken_pipe(self) -> None:
        """Say nothing from now on; rich would end the process."""
        self.quiet = True


class Reporter:
    """Lines on stderr and in the run's log; on a terminal a progress bar below them."""

    def __init__(self, run: RunFolder):
        self._console = QuietConsole(stderr=True, highlight=False, soft_wrap=True)
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        # A worker that a page launched already prints into log.txt; one on a terminal writes there as well.
        self._log = None if _is_same_file(run) else open(run.log_path, "a", encoding="utf-8", buffering=1)  # noqa: SIM115

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop_bar()
        if self._log:
            self._log.close()

    def say(self, line: str) -> None:
        """One line, with the time of day in the log."""
        if self._log:
            self._log.write(f"{time.strftime('%H:%M:%S')}  {line}\n")
        with suppress(OSError):  # a terminal that was closed
            self._console.print(line, markup=False)

    def start_bar(self, step: int, max_steps: int) -> None:
        """Show progress from now on; nothing happens away from a terminal."""
        if not self._console.is_terminal:
            return
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("·"), TimeRemainingColumn(),
            console=self._console, transient=True,
        )  # fmt: skip
        self._task = self._bar.add_task("training", completed=step, total=max_steps)
        self._bar.start()

    def step(self, step: int) -> None:
        """Move the bar."""
        if self._bar and self._task is not None:
            self._bar.update(self._task, completed=step)

    def stop_bar(self) -> None:
        """Take the bar away."""
        if self._bar:
            self._bar.stop()
            self._bar = None


def _is_same_file(run: RunFolder) -> bool:
    try:
        return os.path.samestat(os.fstat(sys.stderr.fileno()), os.stat(run.log_path))
    except (OSError, ValueError):  # no log yet, or a stderr that is not a file (captured by a test)
        return False
