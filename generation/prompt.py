"""From a person's prompt to tokens, and from tokens back to text while they come."""

import codecs

from config.errors import TextError
from text.tokenizer import Tokenizer

# A model needs something to continue. A line break promises the least of what follows.
EMPTY_PROMPT = "\n"


def encode_prompt(tokenizer: Tokenizer, prompt: str) -> list[int]:
    """Tokens of a prompt; an empty one becomes a line break, or token 0 where the tokenizer knows no line break.

    Raises:
        TextError: the prompt has characters the tokenizer has never seen, or bytes that are no text.
    """
    if not prompt:
        return tokenizer.encode(EMPTY_PROMPT, unknown="skip") or [0]
    try:
        return tokenizer.encode(prompt)
    except TextError as error:
        raise TextError(f"the prompt cannot be read: {error}") from error


class TextStream:
    """Text of tokens that come one by one, in whole characters: a byte-level token may hold only a part of one.

    All pieces together are `tokenizer.decode` of all tokens.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, token: int) -> str:
        """The characters that this token completes, perhaps none."""
        return self._decoder.decode(self._tokenizer.decode_bytes([token]))

    def finish(self) -> str:
        """What is left at the end: the replacement character, if the last character never became whole."""
        return self._decoder.decode(b"", final=True)
