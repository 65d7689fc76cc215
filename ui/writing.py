"""One text being written: a thread of its own makes the tokens, a page looks at them as often as it likes.

The thread draws nothing and knows no session. It belongs to whoever holds the object (a page keeps it in the session),
so ten sessions never mix, and it ends by itself when nobody has looked for five seconds: a closed browser tab says
nothing to the server.
"""

import codecs
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

ABANDONED_SECONDS = 5.0
WAIT_SECONDS = 0.1

# Several texts at once would only slow each other, and the training beside them, down.
_turn = threading.Semaphore(1)


@dataclass(frozen=True)
class Piece:
    """One generated token as a reader sees it."""

    text: str  # what it adds to the text; "" for the first bytes of a character that later ones complete
    token: int
    probability: float


@dataclass(frozen=True)
class Progress:
    """What is written so far."""

    state: str  # waiting, writing, finished, stopped, abandoned or failed
    pieces: tuple[Piece, ...]
    tokens_per_second: float
    problem: str = ""

    @property
    def active(self) -> bool:
        """Whether more will come."""
        return self.state in ("waiting", "writing")

    @property
    def text(self) -> str:
        """All pieces together."""
        return "".join(piece.text for piece in self.pieces)


class Writing:
    """A text on its way.

    Args:
        steps: makes the iterator over (token, probability); called in the thread, when it is this text's turn.
        bytes_of: the bytes a token stands for.
    """

    def __init__(self, steps: Callable[[], Iterator[tuple[int, float]]], bytes_of: Callable[[int], bytes]) -> None:
        self._steps, self._bytes_of = steps, bytes_of
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._state, self._problem = "waiting", ""
        self._pieces: list[Piece] = []
        self._seconds = 0.0
        self._last_look = time.monotonic()
        threading.Thread(target=self._run, name="writing", daemon=True).start()

    def look(self) -> Progress:
        """What is there by now; also the sign that somebody is still interested."""
        with self._lock:
            self._last_look = time.monotonic()
            speed = len(self._pieces) / self._seconds if self._seconds else 0.0
            return Progress(self._state, tuple(self._pieces), speed, self._problem)

    def stop(self) -> None:
        """End it after the token that is being made; what is written stays."""
        self._stop.set()

    def _run(self) -> None:
        while not _turn.acquire(timeout=WAIT_SECONDS):
            if reason := self._reason_to_end():
                return self._end(reason)
        try:
            self._write()
        except Exception as error:  # whatever it is, it must reach the page: nobody reads a thread's traceback
            self._end("failed", f"{error}" or type(error).__name__)
        finally:
            _turn.release()

    def _write(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        with self._lock:
            self._state = "writing"
        started = time.perf_counter()
        for token, probability in self._steps():
            piece = Piece(decoder.decode(self._bytes_of(token)), token, probability)
            with self._lock:
                self._pieces.append(piece)
                self._seconds = time.perf_counter() - started
            if reason := self._reason_to_end():
                return self._end(reason)
        self._end("finished")

    def _reason_to_end(self) -> str:
        if self._stop.is_set():
            return "stopped"
        with self._lock:
            return "abandoned" if time.monotonic() - self._last_look > ABANDONED_SECONDS else ""

    def _end(self, state: str, problem: str = "") -> None:
        with self._lock:
            self._state, self._problem = state, problem
