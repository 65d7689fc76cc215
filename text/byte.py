"""The byte tokenizer: the 256 bytes of UTF-8, nothing learned, nothing unknown.

`"né"` is 3 tokens: n is one byte, é is two. English text has as many tokens as characters, so a model meets what it
would meet with the character tokenizer, and can be asked about any text of the world; most other scripts take two or
three tokens for a character, and their text is three times as long. ByT5 (Xue et al. 2022, arXiv:2105.13626) reads so.

The one thing without bytes is half of a surrogate pair: encoding it is an error that names it, unless the caller asks
to leave it out (`unknown="skip"`).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self, final

import numpy as np

from text.tokenizer import Tokenizer, special_tokens_in


@final
class ByteTokenizer(Tokenizer):
    """Token b is the byte b; special tokens, such as `<|endoftext|>`, come after the 256."""

    type: ClassVar[str] = "byte"

    def __init__(self, special_tokens: Sequence[str] = ()) -> None:
        super().__init__([bytes([byte]) for byte in range(256)], special_tokens)

    @classmethod
    def train(cls, text: str = "", vocab_size: int = 256, special_tokens: Sequence[str] = ()) -> Self:
        """The 256 bytes; nothing is learned from `text`, and `vocab_size` is not used."""
        return cls(special_tokens)

    def encode_known(self, text: str) -> np.ndarray:
        """The bytes of `text`."""
        return np.frombuffer(text.encode(), dtype=np.uint8).astype(self.dtype)

    def settings(self) -> dict[str, Any]:
        """Nothing: byte tokenizers differ in their special tokens alone."""
        return {}

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], folder: Path) -> Self:
        """The byte tokenizer with the same special tokens."""
        return cls(special_tokens_in(settings))
