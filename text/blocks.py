"""Blocks: a text of any length as a sequence of stretches that fit in memory, with the places where documents begin.

files  --text/documents.py-->  parts  --collect-->  blocks  --cut_into_pieces-->  pieces that are encoded one by one
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Literal

from text.pieces import cut_at_words

BLOCK_CHARACTERS = 1_000_000
PIECE_CHARACTERS = 1_000_000

Part = tuple[str, bool]
"""Some text, and whether a document begins with it."""

Split = Literal["train", "val"]


@dataclass(frozen=True)
class Block:
    """A stretch of a text.

    Args:
        text: Its characters.
        borders: Where in `text` the next document begins, in order; 0 is before the first character. The first
            document of a corpus has no border: borders stand *between* documents.
    """

    text: str
    borders: tuple[int, ...] = ()

    def cut(self, at: int) -> tuple["Block", "Block"]:
        """The first `at` characters and the rest; a border between the two stays with the first."""
        left = tuple(border for border in self.borders if border <= at)
        right = tuple(border - at for border in self.borders[len(left) :])
        return Block(self.text[:at], left), Block(self.text[at:], right)

    def join(self, after: "Block") -> "Block":
        """This block and the one after it as one."""
        shifted = tuple(border + len(self.text) for border in after.borders)
        return Block(self.text + after.text, self.borders + shifted)


def collect(parts: Iterable[Part]) -> Iterator[Block]:
    """Put short parts together and cut long ones, into blocks of about `BLOCK_CHARACTERS`."""
    texts: list[str] = []
    borders: list[int] = []
    size, first = 0, True
    for text, begins in parts:
        if begins and not first:
            borders.append(size)
        first = False
        for start in range(0, len(text), BLOCK_CHARACTERS):
            stretch = text[start : start + BLOCK_CHARACTERS]
            texts.append(stretch)
            size += len(stretch)
            if size >= BLOCK_CHARACTERS:
                yield Block("".join(texts), tuple(borders))
                texts, borders, size = [], [], 0
    if texts or borders:
        yield Block("".join(texts), tuple(borders))


def take(blocks: Iterable[Block], characters: int) -> Iterator[Block]:
    """The blocks of the first `characters` characters; reading stops there."""
    left = characters
    for block in blocks:
        if len(block.text) >= left:
            first, _ = block.cut(left)
            # A document that would begin at the very end has nothing in it.
            yield Block(first.text, tuple(border for border in first.borders if border < left))
            return
        left -= len(block.text)
        yield block


def cut_into_pieces(blocks: Iterable[Block], border: int) -> Iterator[tuple[Split, Block]]:
    """The pieces of both splits in order, each of at most `PIECE_CHARACTERS`; the validation split begins at `border`.

    Every cut but the border is made where all tokenizers here begin a token anyway: the pieces give the tokens that the
    whole split gives (see `text.pieces.cut_at_words`).
    """
    for split, labelled in groupby(_split(blocks, border), itemgetter(0)):
        rest = Block("")
        for _, block in labelled:
            rest = rest.join(block)
            while len(rest.text) > PIECE_CHARACTERS:
                piece, rest = rest.cut(len(next(cut_at_words(rest.text, PIECE_CHARACTERS))))
                yield split, piece
        if rest.text or rest.borders:
            yield split, rest


def _split(blocks: Iterable[Block], border: int) -> Iterator[tuple[Split, Block]]:
    position = 0
    for block in blocks:
        end = position + len(block.text)
        if position <= border < end:
            left, right = block.cut(border - position)
            yield "train", left
            yield "val", right
        else:
            yield ("train" if end <= border else "val"), block
        position = end
