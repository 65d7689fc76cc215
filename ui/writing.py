"""Texts being written: a thread of its own makes the tokens, a page looks at them as often as it likes.

The thread draws nothing and knows no session. It belongs to whoever holds the object (a page keeps it in the session),
so ten sessions never mix, and it ends by itself when nobody has looked for five seconds: a closed browser tab says
nothing to the server. When it has ended it holds on to the tokens and to nothing else, model and cache least of all.
"""

import codecs
import threading
import time
from collections.abc import Callable, Collection, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Protocol

ABANDONED_SECONDS = 5.0
WAIT_SECONDS = 0.1

# Several texts at once would only slow each other, and the training beside them, down.
_turn = threading.Semaphore(1)


class Step(Protocol):
    """What a generator says about one token, see `generation.step`; probabilities are the model's own."""

    token: int
    probability: float
    alternatives: Sequence[tuple[int, float]]


class Stream(Protocol):
    """What finds stop strings, see `generation.prompt.TextStream`."""

    stopped: bool

    def push(self, token: int) -> str:
        """The characters that this token makes certain."""


@dataclass(frozen=True)
class Words:
    """How tokens become text, and where a text ends."""

    bytes_of: Callable[[int], bytes]
    name_of: Callable[[int], str]  # a token for the eye
    ends: Collection[int] = ()  # tokens that end a text and are no part of it
    watch: Callable[[], Stream] | None = None  # makes what looks for stop strings
    least: int = 0  # tokens that come before the first stop string counts


@dataclass(frozen=True, slots=True)
class Choice:
    """A token that could have come."""

    text: str
    token: int
    probability: float


@dataclass(frozen=True, slots=True)
class Piece:
    """One generated token as a reader sees it."""

    text: str  # what it adds to the text; "" for the first bytes of a character that later ones complete
    token: int
    probability: float
    alternatives: tuple[Choice, ...] = ()
    whole: bool = True  # False: a stop string has cut it, so that it is no longer what the token stands for


@dataclass(frozen=True)
class Progress:
    """What is written so far."""

    state: str  # waiting, writing, finished, stopped, abandoned or failed
    texts: tuple[tuple[Piece, ...], ...]  # one for each sample
    tokens_per_second: float = 0.0  # of all samples together
    problem: str = ""

    @property
    def active(self) -> bool:
        """Whether more will come."""
        return self.state in ("waiting", "writing")

    @property
    def count(self) -> int:
        """Tokens of all samples."""
        return sum(map(len, self.texts))


def joined(pieces: Sequence[Piece]) -> str:
    """Their text."""
    return "".join(piece.text for piece in pieces)


class _Sample:
    """One text while it grows."""

    def __init__(self, words: Words, begun: Sequence[int]) -> None:
        self._words = words
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._decoder.decode(b"".join(map(words.bytes_of, begun)))  # may leave the first bytes of a character
        self._least = words.least - len(begun)
        self._stream: Stream | None = None
        self._certain = 0  # characters that can no longer become a part of a stop string
        self.pieces: list[Piece] = []
        self.ended = False

    def add(self, step: Step) -> None:
        if step.token in self._words.ends:
            self.ended = True
            return
        due = len(self.pieces) >= self._least and not self._decoder.getstate()[0]
        if self._stream is None and self._words.watch and due:
            self._stream = self._words.watch()
            self._certain = len(joined(self.pieces))
        text = self._decoder.decode(self._words.bytes_of(step.token))
        choices = tuple(Choice(self._words.name_of(token), token, p) for token, p in step.alternatives)
        self.pieces.append(Piece(text, step.token, step.probability, choices))
        if self._stream:
            self._certain += len(self._stream.push(step.token))
            self.ended = self._stream.stopped

    def shown(self, active: bool) -> tuple[Piece, ...]:
        """The pieces up to what is certain; all of them when nothing more comes and no stop string has."""
        if self._stream is None or not (active or self._stream.stopped):
            return tuple(self.pieces)
        kept = list(self.pieces)
        surplus = len(joined(kept)) - self._certain
        while kept and surplus >= len(kept[-1].text) and (surplus or not kept[-1].text):
            surplus -= len(kept.pop().text)
        if surplus and kept:
            kept[-1] = replace(kept[-1], text=kept[-1].text[:-surplus], whole=False)
        return tuple(kept)


class Writing:
    """One or several texts on their way, side by side.

    Args:
        steps: makes the iterator over the next step of each text, None for one that has ended; called in the thread,
            when it is this object's turn, and closed at the end.
        begun: for each text, the tokens that were written before; they are counted and completed, not told again.
    """

    def __init__(
        self,
        steps: Callable[[], Generator[Sequence[Step | None], None, None]],
        words: Words,
        begun: Sequence[Sequence[int]] = ((),),
    ) -> None:
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._state, self._problem = "waiting", ""
        self._samples = [_Sample(words, tokens) for tokens in begun]
        self._texts: tuple[tuple[Piece, ...], ...] = ()  # at the end
        self._count, self._seconds = 0, 0.0
        self._last_look = time.monotonic()
        # The thread alone holds the steps, and with them model and cache.
        threading.Thread(target=self._run, args=(steps,), name="writing", daemon=True).start()

    def look(self) -> Progress:
        """What is there by now; also the sign that somebody is still interested."""
        with self._lock:
            self._last_look = time.monotonic()
            speed = self._count / self._seconds if self._seconds else 0.0
            texts = tuple(sample.shown(active=True) for sample in self._samples) if self._samples else self._texts
            return Progress(self._state, texts, speed, self._problem)

    def stop(self) -> None:
        """End it after the token that is being made; what is written stays."""
        self._stop.set()

    def _run(self, steps: Callable[[], Generator[Sequence[Step | None], None, None]]) -> None:
        while not _turn.acquire(timeout=WAIT_SECONDS):
            if reason := self._reason_to_end():
                return self._end(reason)
        try:
            with closing(steps()) as running:
                self._end(self._write(running))
        except Exception as error:  # whatever it is, it must reach the page: nobody reads a thread's traceback
            self._end("failed", f"{error}" or type(error).__name__)
        finally:
            _turn.release()

    def _write(self, running: Generator[Sequence[Step | None], None, None]) -> str:
        with self._lock:
            self._state = "writing"
        started = time.perf_counter()
        for steps in running:
            with self._lock:
                for sample, step in zip(self._samples, steps, strict=True):
                    if step is not None and not sample.ended:
                        sample.add(step)
                        self._count += 1
                self._seconds = time.perf_counter() - started
            if all(sample.ended for sample in self._samples):
                return "finished"
            if reason := self._reason_to_end():
                return reason
        return "finished"

    def _reason_to_end(self) -> str:
        if self._stop.is_set():
            return "stopped"
        with self._lock:
            return "abandoned" if time.monotonic() - self._last_look > ABANDONED_SECONDS else ""

    def _end(self, state: str, problem: str = "") -> None:
        with self._lock:
            self._state, self._problem = state, problem
            self._texts = tuple(sample.shown(active=False) for sample in self._samples)
            self._samples = []
