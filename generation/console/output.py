"""How texts reach stdout: as text that grows while it is written, or as JSON lines for programs.

Schema of the JSON lines, one object each, in ASCII:

    {"event": "token", "sample": 0, "token": 17, "text": "e", "log_probability": -1.25, "alternatives": [...]}
    {"event": "sample", "sample": 0, "seed": 5, "prompt": "To", "prompt_tokens": [3, 9], "text": "…", "tokens": [17, …],
     "log_probabilities": [-1.25, …], "log_probability": -60.5, "score": null, "end": "length"}

`sample` counts from 0. A token's `text` are the characters that it makes certain, perhaps none: a token may hold a part
of a character, and what may become a stop string is held back; the whole text is in the sample's line. It is what
follows the prompt, while `tokens` has everything that was drawn, a stop string included. Log-probabilities are the
model's own, in nats, before temperature and the other stages. `alternatives` (with --alternatives) are
`{"token", "text", "probability"}`, likeliest first. `end` is "length", "stop", "stop_token" or "interrupted". Beams
have no token lines, no seed and no log-probabilities of single tokens (null), but a `score`.
"""

import json
import sys
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from generation.prompt import TextStream
from generation.step import Step
from text.tokenizer import Tokenizer

BETWEEN_SAMPLES = "---"


@dataclass
class Sample:
    """One text while it is written."""

    number: int
    seed: int | None
    prompt: str
    prompt_tokens: Sequence[int]
    stream: TextStream
    tokens: list[int] = field(default_factory=list)
    log_probabilities: list[float] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)
    end: str = ""
    """Why it ended; empty while it goes on."""
    log_probability: float | None = None
    score: float | None = None

    @property
    def text(self) -> str:
        """What follows the prompt, as far as it is certain."""
        return "".join(self.pieces)


class Output(ABC):
    """Where samples go. Several may grow at a time; they come out in the order in which they began."""

    @abstractmethod
    def begin(self, sample: Sample) -> None:
        """A text begins."""

    @abstractmethod
    def token(self, sample: Sample, step: Step) -> None:
        """A token and its piece of text have been added to the sample."""

    @abstractmethod
    def finish(self, sample: Sample) -> None:
        """The text is complete: `end`, and the last piece, are set."""


class PlainOutput(Output):
    """The prompt and what follows it; of several texts the first streams, the others follow as they are ready."""

    def __init__(self) -> None:
        self._queue: deque[Sample] = deque()
        self._n_shown = 0

    def begin(self, sample: Sample) -> None:
        self._queue.append(sample)
        if len(self._queue) == 1:
            self._open()

    def token(self, sample: Sample, step: Step) -> None:
        if sample is self._queue[0]:
            self._show()

    def finish(self, sample: Sample) -> None:
        while self._queue and self._queue[0].end:
            self._show()
            print(flush=True)
            self._queue.popleft()
            if self._queue:
                self._open()
                self._show()

    def _open(self) -> None:
        separator = f"{BETWEEN_SAMPLES}\n" if self._queue[0].number else ""
        print(separator, self._queue[0].prompt, sep="", end="", flush=True)
        self._n_shown = 0

    def _show(self) -> None:
        pieces = self._queue[0].pieces
        new, self._n_shown = "".join(pieces[self._n_shown :]), len(pieces)
        if new:
            print(new, end="", flush=True)


class JsonOutput(Output):
    """One JSON object a line, see above."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def begin(self, sample: Sample) -> None:
        pass

    def token(self, sample: Sample, step: Step) -> None:
        line = {
            "event": "token",
            "sample": sample.number,
            "token": step.token,
            "text": sample.pieces[-1],
            "log_probability": step.log_probability,
        }
        if step.alternatives:
            line["alternatives"] = [
                {"token": token, "text": self._tokenizer.token_text(token), "probability": probability}
                for token, probability in step.alternatives
            ]
        _print_json(line)

    def finish(self, sample: Sample) -> None:
        is_beam = sample.score is not None
        _print_json(
            {
                "event": "sample",
                "sample": sample.number,
                "seed": sample.seed,
                "prompt": sample.prompt,
                "prompt_tokens": list(sample.prompt_tokens),
                "text": sample.text,
                "tokens": sample.tokens,
                "log_probabilities": None if is_beam else sample.log_probabilities,
                "log_probability": sample.log_probability if is_beam else sum(sample.log_probabilities),
                "score": sample.score,
                "end": sample.end,
            }
        )


def _print_json(line: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(line, allow_nan=False) + "\n")
    sys.stdout.flush()
