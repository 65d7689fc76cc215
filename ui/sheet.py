"""One sheet of the desk: texts being written, and everything that made them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ui.words import number, share
from ui.writing import Piece, Progress, Writing


@dataclass(frozen=True)
class Sheet:
    """What the page shows must not follow the widgets, so all of it is here."""

    writing: Writing
    prompt: str
    prompt_tokens: tuple[int, ...]
    kept: tuple[tuple[Piece, ...], ...]  # for each text, what was written before this writing began
    run_id: str
    n_ctx: int
    first_seed: int
    origin: str

    def texts(self, progress: Progress) -> tuple[tuple[Piece, ...], ...]:
        """Everything after the prompt."""
        return tuple((*before, *now) for before, now in zip(self.kept, progress.texts, strict=True))

    def seen(self, progress: Progress) -> tuple[int, int]:
        """How many tokens of the longest text the model sees, and how many there are."""
        before, now = max(zip(self.kept, progress.texts, strict=True), key=lambda pair: len(pair[0]) + len(pair[1]))
        begun = len(self.prompt_tokens) + len(before)
        return tokens_in_window(begun, len(now), self.n_ctx), begun + len(now)


def tokens_in_window(n_begun: int, n_new: int, n_ctx: int) -> int:
    """Tokens that the model sees after reading `n_begun` and writing `n_new`: a full window slides by half."""
    length = min(n_begun, n_ctx) + n_new
    if length <= n_ctx:
        return length
    half = max(1, n_ctx // 2)
    return half + (length - n_ctx - 1) % (n_ctx + 1 - half)


@dataclass(frozen=True)
class Cut:
    """Where a text is to be written anew: before token `at` of text `row`, with an alternative in its place or none."""

    row: int
    at: int
    choice: int  # −1: none

    def parts(self, texts: Sequence[Sequence[Piece]]) -> tuple[tuple[Piece, ...], Piece] | None:
        """What stays, and the piece that goes; None where the browser has named a place that does not exist."""
        if not (0 <= self.row < len(texts) and 0 <= self.at < len(texts[self.row])):
            return None
        gone = texts[self.row][self.at]
        return (tuple(texts[self.row][: self.at]), gone) if self.choice < len(gone.alternatives) else None


def read_cut(said: Any) -> Cut | None:
    """What the browser said, if it is a place at all."""
    if not isinstance(said, Mapping):
        return None
    row, at, choice = (said.get(name) for name in ("row", "at", "choice"))
    if type(row) is int and type(at) is int and type(choice) is int:
        return Cut(row, at, choice)
    return None


def as_tokens(pieces: Sequence[Piece], active: bool) -> list[dict[str, Any]]:
    """For `ui.tokens.show`, coloured; what can be clicked comes when the text is complete."""
    return [_as_token(piece, active) for piece in pieces]


def _as_token(piece: Piece, active: bool) -> dict[str, Any]:
    token: dict[str, Any] = {"text": piece.text, "id": piece.token, "probability": piece.probability}
    if active:
        return token | {"tooltip": f"{piece.text!r}\n{share(piece.probability)} likely"}
    choices = [(choice.text, share(choice.probability)) for choice in piece.alternatives]
    likely = "\n".join(f"{chance}  {text}" for text, chance in choices)
    tooltip = f"{piece.text!r}\n{share(piece.probability)} likely\n\nlikeliest here:\n{likely}"
    return token | {"tooltip": tooltip, "choices": choices}


def count_line(progress: Progress) -> list[str]:
    """State, tokens and speed, in words."""
    words = {
        "waiting": ["waiting for another text to be finished"],
        "stopped": ["stopped"],
        "abandoned": ["stopped, because nobody was watching"],
    }.get(progress.state, [])
    if not progress.count:
        return words
    return [f"{progress.count:,} tokens", f"{number(progress.tokens_per_second, 3)} tokens/s", *words]
