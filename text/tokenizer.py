"""What every tokenizer can do: text to token ids and back, and to and from a folder.

A tokenizer is a table of byte strings, one for each token id, and a way to choose ids for a text. Decoding needs only
the table, so it stands once, here; how a text is cut is what the six files beside this one differ in:

    character.py       one token per character of the training text
    byte.py            one token per byte: 256, whatever the text
    byte_pair.py       pieces learned by byte-pair encoding, from scratch
    gpt2.py            the 50,257 pieces that GPT-2 was trained with
    sentence_piece.py  pieces learned by the SentencePiece library
    imported.py        whatever a published model was trained with, run by their library

A saved tokenizer is a folder with `tokenizer.json` (SentencePiece: and `sentencepiece.model`): plain data, no pickle.
BPE adds `hugging_face/tokenizer.json`, the same in the format of Hugging Face, for other programs.

    python -m text train training.txt --tokenizer_type byte --out my_tokenizer
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, final

import numpy as np

from config.errors import TextError
from text.atomic import explain_writing, write_atomically
from text.pieces import LONE_SURROGATE, check_special_tokens, check_surrogates, split_at_special
from text.tokenizer_file import FORMAT, hash_record, write_record

END_OF_TEXT = "<|endoftext|>"

Ids = Sequence[int] | np.ndarray

VISIBLE = {" ": "␣", "\n": "⏎", "\t": "⇥"}


class Tokenizer(ABC):
    """A table of tokens and the rule that cuts text into them.

    Args:
        token_bytes: The UTF-8 bytes (often half a character, with byte-level tokenizers) of token 0, 1, 2 ...
        special_tokens: The texts of tokens that stand for no text, such as the end of a document; they come last.
        special_ids: The same with their ids, where they are among `token_bytes` already.
    """

    type: ClassVar[str]
    """The name in `--tokenizer_type` and in tokenizer.json."""

    def __init__(
        self,
        token_bytes: Sequence[bytes],
        special_tokens: Sequence[str] = (),
        special_ids: Mapping[str, int] | None = None,
    ):
        check_special_tokens(special_tokens)
        last = {token: len(token_bytes) + place for place, token in enumerate(special_tokens)}
        self.token_bytes = (*token_bytes, *(token.encode() for token in special_tokens))
        self.special_ids: Mapping[str, int] = last if special_ids is None else special_ids
        """The ids of the special tokens by their text."""
        self.special_tokens = tuple(self.special_ids)

    @classmethod
    @abstractmethod
    def train(cls, text: str, vocab_size: int) -> Self:
        """Learn the table from `text`. A tokenizer whose size follows from elsewhere takes no notice of `vocab_size`.

        Raises:
            TextError: the text does not allow this vocabulary size.
        """

    @abstractmethod
    def encode_known(self, text: str) -> np.ndarray:
        """Token ids of a text in which every character can be encoded, as `self.dtype`.

        Raises:
            TextError: a character is not in the vocabulary.
            UnicodeEncodeError: the text has half of a surrogate pair.
        """

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """What tokenizer.json must hold beside format, type and vocab_size; nothing that changes from save to save."""

    @classmethod
    @abstractmethod
    def from_settings(cls, settings: Mapping[str, Any], folder: Path) -> Self:
        """Build the tokenizer from what `settings()` gave.

        Raises:
            ValueError, KeyError, TypeError: the settings do not make a tokenizer.
        """

    def unknown_characters(self, text: str) -> list[str]:
        """The characters of `text` that cannot be encoded, each once, in order of appearance."""
        return list(dict.fromkeys(LONE_SURROGATE.findall(text)))

    def extra_files(self) -> dict[str, bytes]:
        """Files to store beside tokenizer.json, by name."""
        return {}

    @property
    def end_of_text(self) -> int | None:
        """The id of `<|endoftext|>`, which parts documents, if there is one."""
        return self.special_ids.get(END_OF_TEXT)

    @property
    def ends(self) -> tuple[int, ...]:
        """Every id that ends a text: `end_of_text`, and further ones of tokenizers that were imported."""
        return () if self.end_of_text is None else (self.end_of_text,)

    @property
    def beginning(self) -> tuple[int, ...]:
        """Ids that a model wants to see before every text: none, but for tokenizers that were imported."""
        return ()

    @property
    @final
    def vocab_size(self) -> int:
        """How many different tokens there are."""
        return len(self.token_bytes)

    @property
    @final
    def dtype(self) -> np.dtype:
        """The smallest type that token files can store the ids, and one number that is no id, in."""
        return np.dtype(np.uint16 if self.vocab_size < 2**16 else np.uint32)

    @final
    def encode_array(
        self, text: str, *, unknown: Literal["error", "skip"] = "error", special: Literal["text", "token"] = "text"
    ) -> np.ndarray:
        """Token ids `[pos]` of `text`, as `self.dtype`.

        Args:
            special: What `<|endoftext|>` inside of `text` is: the text that it looks like, or the special token.

        Raises:
            TextError: a character cannot be encoded and `unknown` is "error"; with "skip" it is left out.
        """
        if unknown == "skip":
            text = text.translate({ord(character): None for character in self.unknown_characters(text)})
        try:
            if special == "text" or not self.special_ids:
                return self.encode_known(text)
            parts: list[np.ndarray] = []
            for part, token in split_at_special(text, self.special_ids):
                parts.append(self.encode_known(part))
                if token:
                    parts.append(np.array([self.special_ids[token]], dtype=self.dtype))
            return np.concatenate(parts)
        except UnicodeEncodeError:
            check_surrogates(text, "the text")
            raise

    @final
    def encode(
        self, text: str, *, unknown: Literal["error", "skip"] = "error", special: Literal["text", "token"] = "text"
    ) -> list[int]:
        """Token ids of `text` as a list; see `encode_array`."""
        return self.encode_array(text, unknown=unknown, special=special).tolist()

    @final
    def decode_bytes(self, ids: Ids) -> bytes:
        """The bytes that `ids` stand for; they may end in the middle of a character.

        Raises:
            TextError: an id is not in the vocabulary.
        """
        numbers = ids.reshape(-1).tolist() if isinstance(ids, np.ndarray) else ids
        if len(numbers) and not (min(numbers) >= 0 and max(numbers) < self.vocab_size):
            wrong = next(number for number in numbers if not 0 <= number < self.vocab_size)
            raise TextError(f"token {wrong} does not exist: this vocabulary has tokens 0 to {self.vocab_size - 1:,}")
        return b"".join([self.token_bytes[number] for number in numbers])

    @final
    def decode(self, ids: Ids) -> str:
        """The text that `ids` stand for; bytes that are no valid UTF-8 become the replacement character U+FFFD."""
        return self.decode_bytes(ids).decode("utf-8", errors="replace")

    @final
    def token_text(self, token: int) -> str:
        """One token for the eye, see `visible`; an id that stands for no text is its number."""
        return visible(self.decode_bytes([token])) or f"[{token}]"

    @final
    def content_hash(self) -> str:
        """SHA-256 of everything that decides how text is cut: the same for equal tokenizers, on every machine."""
        return hash_record(self._record())

    @final
    def save(self, folder: str | Path) -> None:
        """Write the tokenizer into `folder` (made if needed); tokenizer.json last, so that it names complete files.

        Raises:
            TextError: the folder cannot be written.
        """
        folder = Path(folder)
        with explain_writing(folder, "start again"):
            folder.mkdir(parents=True, exist_ok=True)
            for name, content in self.extra_files().items():
                (folder / name).parent.mkdir(exist_ok=True)
                write_atomically(folder / name, content)
            write_record(folder, self._record())

    def _record(self) -> dict[str, Any]:
        special = {"special_tokens": list(self.special_tokens)} if self.special_tokens else {}
        return {"format": FORMAT, "type": self.type, "vocab_size": self.vocab_size, **special, **self.settings()}


def special_tokens_in(settings: Mapping[str, Any]) -> list[str]:
    """The special tokens of a saved tokenizer.

    Raises:
        TextError: they are no list of strings.
    """
    found = settings.get("special_tokens", [])
    if not isinstance(found, list) or not all(isinstance(token, str) for token in found):
        raise TextError("its special tokens are not a list of strings")
    return found


def visible(token: bytes) -> str:
    """The bytes of a token for the eye: a space as ␣, a line break as ⏎, half a character as \\xe2."""
    return "".join(
        VISIBLE.get(character) or (character if character.isprintable() else ascii(character)[1:-1])
        for character in token.decode("utf-8", errors="backslashreplace")
    )
