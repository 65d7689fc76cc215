"""A bar on stderr for work that is measured in bytes: share, amount, MB/s and the time that is left."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)


@contextmanager
def byte_bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """A function to call with (bytes done, bytes in all); time counts from its first call.

    Without a terminal nothing moves: the last state is printed once, at the end.
    """
    columns = (
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), DownloadColumn(), TransferSpeedColumn(),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(title, total=None, start=False)

        def report(done: int, total: int) -> None:
            if not progress.tasks[0].started:
                progress.start_task(task)
            progress.update(task, completed=done, total=total)

        yield report
