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
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, ClassVar, Self, final

import numpy as np
import tiktoken

from config.errors import TextError
from text.hugging_face_json import FILE_NAME, hugging_face_json
from text.pieces import check_surrogates, cut_at_words
from text.tokenizer import Tokenizer, special_tokens_in
from text.words import PATTERNS, check_pattern, find_words

PRINTABLE_BYTES = bytes(byte for byte in range(256) if chr(byte).isprintable() and byte != ord(" "))
OTHER_BYTES = bytes(byte for byte in range(256) if byte not in PRINTABLE_BYTES)
# GPT-2's way to write any byte as a visible character: a space is Ġ, a line break is Ċ.
SIGNS = {byte: chr(byte) for byte in PRINTABLE_BYTES} | {byte: chr(256 + i) for i, byte in enumerate(OTHER_BYTES)}
BYTES_OF_SIGNS = {sign: byte for byte, sign in SIGNS.items()}

Merge = tuple[bytes, bytes]


class MergeTokenizer(Tokenizer):
    """256 bytes, then one token per merge in the order in which they were learned, then the special tokens.

    Special tokens have an id and a text of their own; `<|endoftext|>` inside a text is ordinary text all the same, so
    that nobody's text can end a document, unless the caller asks for it (`special="token"`).

    Args:
        merges: Pairs of tokens that become one; each part is a byte or the result of an earlier merge.
        special_tokens: Their texts.
        pattern: Name in `text.words.PATTERNS`.
        merge_counts: How often each pair occurred when it was merged, or nothing.

    Raises:
        TextError: merges, special tokens or counts that do not belong together.
    """

    byte_order: ClassVar[bytes]
    """Token i is the byte `byte_order[i]`, for the first 256."""

    def __init__(
        self,
        merges: Sequence[Merge],
        special_tokens: Sequence[str] = (),
        pattern: str = "gpt2",
        merge_counts: Sequence[int] = (),
    ):
        ranks = {bytes([byte]): rank for rank, byte in enumerate(self.byte_order)}
        for left, right in merges:
            if left not in ranks or right not in ranks or left + right in ranks:
                raise TextError(f"merge {len(ranks) - 255}, {to_signs(left)} {to_signs(right)}, does not fit its place")
            ranks[left + right] = len(ranks)
        check_pattern(pattern)
        super().__init__(list(ranks), special_tokens)
        for token in special_tokens:
            if token.encode() in ranks:
                raise TextError(f"special token {token!r} is an ordinary token already; give it a longer name")
        if merge_counts and len(merge_counts) != len(merges):
            raise TextError(f"{len(merge_counts):,} counts do not belong to {len(merges):,} merges")
        self.ranks = ranks
        self.merges = tuple(merges)
        self.pattern = pattern
        self.merge_counts = tuple(merge_counts)

    @final
    def encode_known(self, text: str) -> np.ndarray:
        """Every text has bytes, so every text can be encoded."""
        check_surrogates(text, "the text")  # tiktoken would put U+FFFD in their place and say nothing
        ids = (self._engine.encode_ordinary(piece) for piece in cut_at_words(text))
        return np.fromiter(chain.from_iterable(ids), dtype=self.dtype)  # faster than tiktoken's own way to an array

    @final
    def encode_readably(self, text: str) -> list[int]:
        """The ids that `encode` gives, computed in the open."""
        words = chain.from_iterable(find_words(piece, self.pattern) for piece in cut_at_words(text))
        return [self.ranks[token] for word in words for token in encode_word(word.encode(), self.ranks)]

    @final
    def settings(self) -> dict[str, Any]:
        """The merges, written with GPT-2's visible signs as in its vocab.bpe: "Ġ t" joins a space and a t."""
        counts = {"merge_counts": list(self.merge_counts)} if self.merge_counts else {}
        return {
            "pattern": self.pattern,
            "merges": [f"{to_signs(left)} {to_signs(right)}" for left, right in self.merges],
            "special_tokens": list(self.special_tokens),
            **counts,
        }

    @final
    def extra_files(self) -> dict[str, bytes]:
        """The same tokenizer in Hugging Face's format, for other programs; it is never read here."""
        tokens = [to_signs(token) for token in self.ranks]
        merges = [(to_signs(left), to_signs(right)) for left, right in self.merges]
        return {FILE_NAME: hugging_face_json(tokens, merges, self.special_ids, self.pattern)}

    @final
    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], folder: Path) -> Self:
        """The tokenizer of saved merges.

        Raises:
            TextError: they are something else.
        """
        merges = settings["merges"]
        if not isinstance(merges, list) or not all(isinstance(item, str) for item in merges):
            raise TextError("its merges are not a list of strings")
        counts = settings.get("merge_counts", [])
        if not isinstance(counts, list) or not all(type(count) is int for count in counts):
            raise TextError("its merge counts are not a list of whole numbers")
        return cls([parse_merge(line) for line in merges], special_tokens_in(settings), settings["pattern"], counts)

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
