"""Several processes for the pieces of a long text: results in order, few pieces in memory, no process left behind."""

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection
from typing import TypeVar

from config.errors import TextError

PIECES_PER_PROCESS = 2  # waiting or at work: enough to keep everyone busy, few enough to stay small in memory
MOST_ASKED = 64
MOST_PROCESSES = 8  # by default: 8 with gpt2's vocabulary stay below 1 GB together
BEAT_SECONDS = 0.2
SEVERAL_PROCESSES_BYTES = 10_000_000  # of text: below this, starting processes takes longer than they save

Piece = TypeVar("Piece")
Result = TypeVar("Result")


def check_processes(processes: int) -> None:
    """Refuse a number that nobody can mean.

    Raises:
        TextError: below 1, or above 64.
    """
    if not 1 <= processes <= MOST_ASKED:
        raise TextError(f"--processes {processes} must be from 1 to {MOST_ASKED}")


def useful_processes(text_bytes: int) -> int:
    """How many processes to use for a text of this length when nobody says: one for each processor, or just one."""
    return min(os.cpu_count() or 1, MOST_PROCESSES) if text_bytes >= SEVERAL_PROCESSES_BYTES else 1


def map_in_processes(
    work: Callable[[Piece], Result], pieces: Iterable[Piece], processes: int, start: Callable[[], None] | None = None
) -> Iterator[tuple[Piece, Result]]:
    """Each piece with the result of its work, in order; `PIECES_PER_PROCESS` for each process are read ahead.

    Needs `if __name__ == "__main__":` around the start of the calling program.

    Args:
        work: A function of a module, or a `partial` of one.
        start: The same, called once in each process before its work.

    Raises:
        TextError: a process was killed, as a system does that runs out of memory.
    """
    waiting: deque[tuple[Piece, Future[Result]]] = deque()
    # spawn, not fork: a forked child shares the locks of threads that it does not have, and may hang.
    pool = ProcessPoolExecutor(processes, get_context("spawn"), _start_process, (start,))
    try:
        for piece in pieces:
            waiting.append((piece, pool.submit(work, piece)))
            if len(waiting) >= PIECES_PER_PROCESS * processes:
                done, future = waiting.popleft()
                yield done, future.result()
        for done, future in waiting:
            yield done, future.result()
    except BrokenProcessPool:
        raise TextError(
            "a process that worked on the text was killed, perhaps for want of memory: start again, with fewer "
            "--processes"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def call_in_process(work: Callable[[], Result], beat: Callable[[], None]) -> Result:
    """What `work` returns or raises, from a process of its own: for libraries that cannot be interrupted.

    Args:
        work: A function of a module, or a `partial` of one.
        beat: Called five times a second; what it raises ends the process and goes to the caller.

    Raises:
        TextError: the process was killed.
    """
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send_result, args=(work, sender))
    process.start()
    sender.close()  # so that the end of the process is the end of the pipe
    try:
        while not receiver.poll(BEAT_SECONDS):
            beat()
        result, error = receiver.recv()
    except EOFError:
        raise TextError("a process that worked on the text was killed, perhaps for want of memory") from None
    finally:
        process.kill()
        process.join()
        receiver.close()
    if error is not None:
        raise error
    return result


def _send_result(work: Callable[[], Result], sender: Connection) -> None:
    _start_process(None)
    try:
        answer = work(), None
    except Exception as error:  # all of them are raised again, in the process that asked
        sender.send((None, error))
    else:
        sender.send(answer)


def _start_process(start: Callable[[], None] | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends its workers
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if start is not None:
        start()


def _end_with_parent() -> None:
    """A parent that is killed cannot end its workers, which would wait for work for ever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
