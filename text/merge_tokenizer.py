"""What byte-level BPE tokenizers share: cutting text into words, and merging the bytes of a word into tokens.

Encoding a text takes three steps:

    "Hello world"  --pattern-->  "Hello", " world"                       words: merges never cross their borders
    " world"       --UTF-8--->   b" " b"w" b"o" b"r" b"l" b"d"           every text can be written with 256 bytes
                   --merges-->   b" w" b"or" b"ld"  -->  b" world"       the earliest learned merge first

`encode_word` says how the third step works. A text is encoded by tiktoken, which does the same in Rust a hundred times
faster; `encode_readably` is there to be read, and a test compares the two.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Self, final

import numpy as np
import regex
import tiktoken

from config.errors import TextError
from text.tokenizer import Tokenizer

PATTERNS = {
    # Radford et al. 2019 (GPT-2), with the possessive quantifiers (++) that keep a line of a million spaces harmless:
    # English endings | letters | digits | other signs, each with one space before | white space.
    "gpt2": r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s",
}

PRINTABLE_BYTES = bytes(byte for byte in range(256) if chr(byte).isprintable() and byte != ord(" "))
OTHER_BYTES = bytes(byte for byte in range(256) if byte not in PRINTABLE_BYTES)
# GPT-2's way to write any byte as a visible character: a space is Ġ, a line break is Ċ.
SIGNS = {byte: chr(byte) for byte in PRINTABLE_BYTES} | {byte: chr(256 + i) for i, byte in enumerate(OTHER_BYTES)}
BYTES_OF_SIGNS = {sign: byte for byte, sign in SIGNS.items()}

Merge = tuple[bytes, bytes]


class MergeTokenizer(Tokenizer):
    """256 bytes, then one token per merge in the order in which they were learned, then the special tokens.

    Special tokens have an id and a text of their own; `<|endoftext|>` inside a text is ordinary text all the same, so
    that nobody's text can end a document.

    Args:
        merges: Pairs of tokens that become one; each part is a byte or the result of an earlier merge.
        special_tokens: Their texts.
        pattern: Name in `PATTERNS`.
    """

    byte_order: ClassVar[bytes]
    """Token i is the byte `byte_order[i]`, for the first 256."""

    def __init__(self, merges: Sequence[Merge], special_tokens: Sequence[str] = (), pattern: str = "gpt2"):
        ranks = {bytes([byte]): rank for rank, byte in enumerate(self.byte_order)}
        for left, right in merges:
            if left not in ranks or right not in ranks or left + right in ranks:
                raise TextError(f"merge {len(ranks) - 255}, {to_signs(left)} {to_signs(right)}, does not fit its place")
            ranks[left + right] = len(ranks)
        if pattern not in PATTERNS:
            raise TextError(f"there is no pattern {pattern!r}; there are {', '.join(PATTERNS)}")
        super().__init__([*ranks, *(token.encode() for token in special_tokens)])
        self.ranks = ranks
        self.merges = tuple(merges)
        self.special_tokens = tuple(special_tokens)
        self.pattern = pattern

    @final
    def encode_known(self, text: str) -> np.ndarray:
        """Every text has bytes, so every text can be encoded."""
        return self._engine.encode_to_numpy(text, disallowed_special=()).astype(self.dtype)

    @final
    def encode_readably(self, text: str) -> list[int]:
        """The ids that `encode` gives, computed in the open.

        The two may differ for characters so new that the libraries below them do not both know them (regex here, Rust's
        in tiktoken); both decode to the text.
        """
        words = regex.findall(PATTERNS[self.pattern], text)
        return [self.ranks[token] for word in words for token in encode_word(word.encode(), self.ranks)]

    @final
    def settings(self) -> dict[str, Any]:
        """The merges, written with GPT-2's visible signs as in its vocab.bpe: "Ġ t" joins a space and a t."""
        return {
            "pattern": self.pattern,
            "merges": [f"{to_signs(left)} {to_signs(right)}" for left, right in self.merges],
            "special_tokens": list(self.special_tokens),
        }

    @final
    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], folder: Path) -> Self:
        """The tokenizer of saved merges."""
        merges, special_tokens = settings["merges"], settings["special_tokens"]
        for name, items in (("merges", merges), ("special tokens", special_tokens)):
            if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
                raise TextError(f"its {name} are not a list of strings")
        return cls([parse_merge(line) for line in merges], special_tokens, settings["pattern"])

    @cached_property
    def _engine(self) -> tiktoken.Encoding:
        return tiktoken.Encoding(
            self.type, pat_str=PATTERNS[self.pattern], mergeable_ranks=self.ranks, special_tokens={}
        )


def encode_word(word: bytes, ranks: Mapping[bytes, int]) -> list[bytes]:
    """The tokens of one word: again and again, the two neighbours that were merged earliest in training become one."""
    parts = [bytes([byte]) for byte in word]
    while len(parts) > 1:
        candidates = [ranks.get(left + right, len(ranks)) for left, right in pairwise(parts)]
        earliest = min(candidates)
        if earliest == len(ranks):
            break
        place = candidates.index(earliest)
        parts[place : place + 2] = [parts[place] + parts[place + 1]]
    return parts


def to_signs(token: bytes) -> str:
    """A token in visible characters, one per byte."""
    return "".join(SIGNS[byte] for byte in token)


def parse_merge(line: str) -> Merge:
    """The two tokens of a line such as "Ġ t".

    Raises:
        TextError: not two tokens.
    """
    parts = line.split(" ")
    if len(parts) != 2 or not all(parts) or not all(sign in BYTES_OF_SIGNS for part in parts for sign in part):
        raise TextError(f"{line[:60]!r} is not a merge of two tokens")
    left, right = (bytes(BYTES_OF_SIGNS[sign] for sign in part) for part in parts)
    return left, right
