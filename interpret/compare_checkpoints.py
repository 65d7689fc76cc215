"""Two checkpoints on the same text that neither was trained on: which is better, and is it real?"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from config.errors import TextError
from config.model_config import ModelConfig
from interpret.common_text import MOST_BYTES, Text, common_text
from interpret.paired_difference import PairedDifference, paired_difference
from interpret.token_losses import per_byte, token_losses
from runs.folder import RunFolder
from text.tokenizer import Tokenizer
from training.checkpoint import load_model, load_tokenizer_of

LIMIT_SECONDS = 60.0


@dataclass(frozen=True)
class Comparison:
    """The verdict, and what it was reached on."""

    difference: PairedDifference
    losses: tuple[float, float]  # of the first and the second, in the difference's unit
    text: Text
    scored_bytes: int
    seconds: float

    @property
    def bits_per_byte(self) -> float:
        """What turns the difference into bits per byte: 1 where it is that already."""
        if self.difference.unit == "bits per byte":
            return 1.0
        return self.difference.count / self.scored_bytes / math.log(2)

    @property
    def coverage(self) -> str:
        """How much of the text was scored, for a person."""
        whole = len(self.text.content)
        if self.scored_bytes >= whole:
            return f"all {whole:,} bytes of {self.text.name}"
        return f"the first {self.scored_bytes:,} of {whole:,} bytes of {self.text.name}"


class Scored:
    """One checkpoint, and what it pays for a text."""

    def __init__(self, path: Path, text: str, seconds: float, say: Callable[[float], bool]) -> None:
        """Load it and score as much of the text as fits into the time, or until `say` says no.

        Raises:
            CheckpointError, RunError: it cannot be used.
            TextError: it cannot read the text, or the text is too short for its window.
        """
        run = RunFolder(path.parent)
        config: ModelConfig = run.read_model_config()
        self.tokenizer: Tokenizer = load_tokenizer_of(path)
        try:
            tokens = self.tokenizer.encode_array(text, special="token")
        except TextError as error:
            raise TextError(f"{run.read_label().name} cannot read this text: {error}") from None
        deadline = time.monotonic() + seconds

        def go_on(done: int) -> bool:
            return say(done / (len(tokens) - 1)) and time.monotonic() < deadline

        model = load_model(path)
        self.losses = token_losses(model, tokens, n_ctx=config.n_ctx, d_vocab=config.d_vocab, go_on=go_on)
        """In nats, `[token]`, without the first."""
        self.tokens = tokens[: len(self.losses) + 1]
        """`[token]`, with the first."""


def compare_checkpoints(
    first: Path,
    second: Path,
    text: Text | None = None,
    limit_seconds: float = LIMIT_SECONDS,
    say: Callable[[float], bool] = lambda share: True,
) -> Comparison | None:
    """Compare two step folders; None where `say` stopped it.

    With one tokenizer the losses are compared token by token in nats, with two byte by byte in bits.

    Args:
        text: what to score them on; by default what both runs kept aside for validation.
        limit_seconds: each gets half of it, and what both have scored by then counts.
        say: hears the share that is done, from 0 to 1, and returns False to stop.

    Raises:
        CheckpointError, RunError: a checkpoint cannot be used.
        TextError: there is no common text, it is too short, or one of them cannot read it.
    """
    started = time.monotonic()
    text = text or common_text(RunFolder(first.parent), RunFolder(second.parent))
    content = text.content[:MOST_BYTES].decode("utf-8", errors="ignore")
    half = limit_seconds / 2
    one = Scored(first, content, half, lambda done: say(done / 2))
    if not say(0.5):
        return None
    other = Scored(second, content, half, lambda done: say(0.5 + done / 2))
    if not say(1.0):
        return None
    if one.tokenizer.content_hash() == other.tokenizer.content_hash():
        count = min(len(one.losses), len(other.losses))
        pair, unit = (one.losses[:count], other.losses[:count]), "nats per token"
        scored_bytes = len(one.tokenizer.decode_bytes(one.tokens[: count + 1]))
    else:
        pair, unit = _byte_by_byte(one, other), "bits per byte"
        scored_bytes = len(pair[0])
    difference = paired_difference(*pair, unit=unit)
    means = (float(pair[0].mean()), float(pair[1].mean()))
    return Comparison(difference, means, text, scored_bytes, time.monotonic() - started)


def _byte_by_byte(one: Scored, other: Scored) -> tuple[np.ndarray, np.ndarray]:
    """The losses of both in bits on the bytes that both have scored: from where the longer first token ends."""
    found = []
    for scored in (one, other):
        unscored = len(scored.tokenizer.decode_bytes(scored.tokens[:1]))
        found.append((unscored, per_byte(scored.losses, scored.tokens[1:], scored.tokenizer)))
    begin = max(unscored for unscored, _ in found)
    end = min(unscored + len(paid) for unscored, paid in found)
    first, second = (paid[begin - unscored : end - unscored] for unscored, paid in found)
    return first, second
