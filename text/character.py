"""The character tokenizer: one token for each different character of the training text.

The smallest vocabulary and the longest sequences: a model must first learn to spell. `"Hi, it is"` has 9 tokens here
and 4 with GPT-2's vocabulary. Token ids follow the code points, so `a` comes before `b`.

A character that the training text does not have has no token. Encoding it is an error that names it, unless the caller
asks to leave it out (`unknown="skip"`): there is no `<unk>` token, because a model would have to learn it from nothing.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from config.errors import TextError
from text.pieces import check_surrogates
from text.tokenizer import Tokenizer, special_tokens_in

CODE_POINTS = 0x110000
SLICE_CHARACTERS = 50_000


class CharacterTokenizer(Tokenizer):
    """Token i is the i-th character of `characters`.

    Args:
        characters: Every character once, in order of code point.
        special_tokens: Such as `<|endoftext|>`; they come last.

    Raises:
        TextError: there is no character, or one that no text can hold.
    """

    type: ClassVar[str] = "character"

    def __init__(self, characters: str, special_tokens: Sequence[str] = ()):
        if not characters:
            raise TextError("a character tokenizer needs a text with at least one character")
        check_surrogates(characters, "the character list")
        super().__init__([character.encode() for character in characters], special_tokens)
        self.characters = characters

    @classmethod
    def train(cls, text: str, vocab_size: int = 0, special_tokens: Sequence[str] = ()) -> Self:
        """The characters of `text` are the vocabulary; `vocab_size` follows from them and is not used."""
        characters = "".join(sorted(set(text)))
        if max(characters, default="") >= "\ud800":
            check_surrogates(text, "the text")
        return cls(characters, special_tokens)

    def encode_known(self, text: str) -> np.ndarray:
        """One table look-up per character, in slices that stay in the processor's cache.

        Raises:
            TextError: the training text did not have one of them.
        """
        ids = np.empty(len(text), dtype=self.dtype)
        for start in range(0, len(text), SLICE_CHARACTERS):
            piece = text[start : start + SLICE_CHARACTERS]
            if piece.isascii():
                codes = np.frombuffer(piece.encode("ascii"), dtype=np.uint8)
            else:
                codes = np.frombuffer(piece.encode("utf-32-le"), dtype="<u4")
            found = ids[start : start + len(piece)]
            np.take(self._table, codes, out=found, mode="clip")  # no code is out of range; "clip" skips the check
            if found.max() == self.vocab_size:
                raise TextError(self._explain_unknown(text))
        return ids

    def unknown_characters(self, text: str) -> list[str]:
        """The characters of `text` that the training text did not have, each once, in order of appearance."""
        unknown = set(text).difference(self.characters)
        return sorted(unknown, key=text.index)

    def settings(self) -> dict[str, Any]:
        """The characters, as one string."""
        return {"characters": self.characters}

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], folder: Path) -> Self:
        """The tokenizer of a saved list of characters.

        Raises:
            TextError: it is something else.
        """
        characters = settings["characters"]
        if not isinstance(characters, str) or list(characters) != sorted(set(characters)):
            raise TextError("its characters are not a string of different characters in order")
        return cls(characters, special_tokens_in(settings))

    @cached_property
    def _table(self) -> np.ndarray:
        """Token id by code point; vocab_size marks a character that has none."""
        table = np.full(CODE_POINTS, self.vocab_size, dtype=self.dtype)
        table[[ord(character) for character in self.characters]] = np.arange(len(self.characters))
        return table

    def _explain_unknown(self, text: str) -> str:
        unknown = self.unknown_characters(text)
        named = ", ".join(f"{character!r} (U+{ord(character):04X})" for character in unknown[:5])
        more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
        return (
            f"the character tokenizer has never seen {named}{more}; its vocabulary is the {len(self.characters)} "
            "characters of the training text: leave these out or use one of the other tokenizers"
        )
