"""From a person's prompt to tokens, and from tokens back to text while they come."""

import codecs
from collections.abc import Sequence

from config.errors import TextError
from text.tokenizer import Tokenizer

# A model needs something to continue. A line break promises the least of what follows.
EMPTY_PROMPT = "\n"


def encode_prompt(tokenizer: Tokenizer, prompt: str) -> list[int]:
    """Tokens of a prompt, behind those that every text of the tokenizer begins with.

    An empty one becomes a line break, or token 0 where the tokenizer knows no line break.

    Raises:
        TextError: the prompt has characters the tokenizer has never seen, or bytes that are no text.
    """
    if not prompt and not tokenizer.beginning:
        return tokenizer.encode(EMPTY_PROMPT, unknown="skip") or [0]
    try:
        return [*tokenizer.beginning, *tokenizer.encode(prompt)]
    except TextError as error:
        raise TextError(f"the prompt cannot be read: {error}") from error


class TextStream:
    """Text of tokens that come one by one, in whole characters: a byte-level token may hold only a part of one.

    All pieces together are `tokenizer.decode` of all tokens, up to the first stop string. A stop string may begin and
    end inside tokens: text that may still become one is held back until it is clear. Of several the one that is
    complete first counts, and of those that end together the longest; so the cut does not depend on how the text was
    cut into tokens.
    """

    def __init__(self, tokenizer: Tokenizer, stop: Sequence[str] = ()) -> None:
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._stop = [text for text in stop if text]
        self._held = ""
        self.stopped = False
        """A stop string has come: the text is complete, and further tokens are ignored."""

    def push(self, token: int) -> str:
        """The characters that this token makes certain, perhaps none."""
        return self._release(self._decoder.decode(self._tokenizer.decode_bytes([token])))

    def finish(self) -> str:
        """What is left at the end: held back text, and the replacement character if the last one never became whole."""
        text = self._release(self._decoder.decode(b"", final=True)) + self._held
        self._held = ""
        return text

    def _release(self, piece: str) -> str:
        if self.stopped:
            return ""
        text = self._held + piece
        found = [(at + len(stop), at) for stop in self._stop if (at := text.find(stop)) >= 0]
        if found:
            self.stopped, self._held = True, ""
            return text[: min(found)[1]]
        n_held = max((_overlap(text, stop) for stop in self._stop), default=0)
        self._held = text[len(text) - n_held :]
        return text[: len(text) - n_held]


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of the text are the beginning of the stop string."""
    return next((n for n in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:n])), 0)
