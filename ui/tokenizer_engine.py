"""The door from the Tokenizers page to the tokenizers: what they learned, and how they cut a text, cached by content.

As in `ui/engines.py`, libraries are imported by the functions that need them, and a reason why something cannot be done
is returned as a sentence.
"""

from dataclasses import dataclass, field
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import streamlit as st

MOST_CHARACTERS = 200_000  # of the person's text
MOST_LEARNED_FROM = 1_000_000  # characters of a file; bpe learns from them in about a second
LARGEST_VOCABULARY = 8_192
BYTES = 256  # what every byte-level vocabulary begins with
Token = dict[str, Any]


@dataclass(frozen=True)
class Source:
    """What a vocabulary is learned from: a file, or else a text. The stamp changes when the file does."""

    path: str = ""
    stamp: tuple[int, int] = (0, 0)
    text: str = ""

    @property
    def name(self) -> str:
        """As the page calls it."""
        return Path(self.path).name if self.path else "your text"


@dataclass(frozen=True)
class Step:
    """A merge: two tokens, for the eye, and how often they stood together when they became one."""

    left: str
    right: str
    frequency: int


@dataclass(frozen=True)
class Learned:
    """All merges that a text gives, in order; a smaller vocabulary has the first of them."""

    merges: tuple[tuple[bytes, bytes], ...] = ()
    steps: tuple[Step, ...] = ()
    problem: str = ""

    @property
    def largest(self) -> int:
        """The vocabulary with all of them."""
        return BYTES + len(self.merges)


@dataclass(frozen=True)
class Cut:
    """A text as tokens; `problem` says why it cannot be cut so."""

    drawn: list[Token] = field(default_factory=list)  # the first of them, for `ui.tokens.show`
    count: int = 0
    characters: int = 0  # that these tokens stand for
    vocab_size: int = 0
    unknown: tuple[str, ...] = ()  # characters that have no token; they are left out
    problem: str = ""

    @property
    def characters_per_token(self) -> float:
        """How much text one token carries."""
        return self.characters / max(1, self.count)


@st.cache_resource(max_entries=4, show_spinner="Learning merges …")
def learn(source: Source) -> Learned:
    """Train byte-pair encoding until no pair is left that occurs twice, or the vocabulary is as large as allowed."""
    from config.errors import TextError
    from text.byte_pair import learn_merges
    from text.tokenizer import visible
    from text.word_counts import count_words

    try:
        counts = count_words(_text_of(source))
    except TextError as error:
        return Learned(problem=str(error))
    found = list(islice(learn_merges(counts), LARGEST_VOCABULARY - BYTES))
    steps = tuple(Step(visible(left), visible(right), frequency) for left, right, frequency in found)
    return Learned(tuple((left, right) for left, right, _ in found), steps)


@st.cache_data(max_entries=64, show_spinner="Cutting the text into tokens …")
def cut(kind: str, source: Source, vocab_size: int, text: str, most_drawn: int) -> Cut:
    """Cut `text` with the tokenizer `kind`, learned from `source` where it learns."""
    from config.errors import TextError

    try:
        return cut_with(_tokenizer(kind, source, vocab_size), text, most_drawn)
    except TextError as error:
        return Cut(problem=str(error))


def gpt2_missing() -> str:
    """Why GPT-2's vocabulary cannot be had without a download, and the ways to it; "" where it can."""
    from text import gpt2

    if gpt2.is_here():
        return ""
    return (
        f"GPT-2's vocabulary file {gpt2.FILE} is not on this machine. Choosing gpt2 on the Train page downloads it "
        f"once (0.5 MB); without a network, copy it from a machine that has it, into the folder {gpt2.cache_folder()}. "
        "The other tokenizers need nothing."
    )


def lengths(source: Source, text: str, sizes: tuple[int, ...]) -> list[int]:
    """How many tokens `text` has with the vocabularies of these sizes, all out of one training."""
    return [cut("bpe", source, size, text, 0).count for size in sizes]


def cut_with(tokenizer: Any, text: str, most_drawn: int) -> Cut:
    """Count the tokens of `text` and describe the first `most_drawn`; characters without a token are drawn pale.

    Raises:
        TextError: the text cannot be cut.
    """
    unknown = tokenizer.unknown_characters(text)
    drawn: list[Token] = []
    count = characters = 0
    for is_unknown, group in groupby(text, key=set(unknown).__contains__):
        part = "".join(group)
        room = max(0, most_drawn - len(drawn))
        if is_unknown:
            drawn += [_unknown_token(character) for character in part[:room]]
            continue
        ids = tokenizer.encode_array(part)
        count, characters = count + len(ids), characters + len(part)
        drawn += _describe(tokenizer, part, ids[:room].tolist())
    return Cut(drawn, count, characters, tokenizer.vocab_size, tuple(unknown))


def _describe(tokenizer: Any, text: str, ids: list[int]) -> list[Token]:
    """Each token with its id, its bytes, and, for a part of a character, which one."""
    data, start = text.encode(), 0
    tokens = []
    for token in ids:
        content = tokenizer.token_bytes[token]
        shown = tokenizer.token_text(token)
        end = start + len(content)
        whole = _whole_characters(data, start, end)
        part = "" if len(whole.encode()) == len(content) else f"\npart of {whole}"
        tokens.append({
            "text": shown.replace("⏎", "⏎\n") if b"\n" in content else shown,
            "id": token,
            "tooltip": f"{shown}\ntoken {token:,}\nbytes {content.hex(' ')}{part}",
        })  # fmt: skip
        start = end
    return tokens


def _unknown_token(character: str) -> Token:
    from text.tokenizer import visible

    name = visible(character.encode(errors="replace"))
    return {"text": name, "quiet": True, "tooltip": f"{name}\nnot in this vocabulary"}


def _whole_characters(data: bytes, start: int, end: int) -> str:
    """The characters that bytes `start` to `end` are, or are a part of (in UTF-8, 10xxxxxx continues a character)."""
    while start > 0 and data[start] & 0xC0 == 0x80:
        start -= 1
    while end < len(data) and data[end] & 0xC0 == 0x80:
        end += 1
    return data[start:end].decode()


@st.cache_resource(max_entries=16, show_spinner="Learning the vocabulary …")
def _tokenizer(kind: str, source: Source, vocab_size: int) -> Any:
    from config.errors import TextError
    from text.byte_pair import BytePairTokenizer
    from text.sentence_piece import SentencePieceTokenizer
    from text.tokenizer_types import tokenizer_class

    if kind == "sentencepiece":
        return SentencePieceTokenizer.train(_text_of(source), vocab_size, exact=False)
    if kind != "bpe":
        return tokenizer_class(kind).train(_text_of(source) if kind == "character" else "", vocab_size)
    learned = learn(source)
    if learned.problem:
        raise TextError(learned.problem)
    return BytePairTokenizer(learned.merges[: vocab_size - BYTES])


def _text_of(source: Source) -> str:
    from text.corpus import read_text

    return read_text(source.path).text[:MOST_LEARNED_FROM] if source.path else source.text
