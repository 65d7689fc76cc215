"""The numbers of a text, whatever its length: one pass over its blocks."""

import hashlib
from collections.abc import Iterable

import numpy as np

from text.blocks import Block

KEPT_CHARACTERS = 16_000_000
"""A corpus up to this length stays in memory."""

CODE_POINTS = 0x110000


class Survey:
    """What one pass over the blocks of a text finds.

    Args:
        blocks: All of them; they are read at once.

    Attributes:
        characters, bytes: How many characters, and UTF-8 bytes of these.
        spaces: How many spaces and line breaks.
        documents: How many documents; at least one.
        blank: Whether there is nothing but white space.
        kept: The blocks, if all of them together are no longer than `KEPT_CHARACTERS`.
    """

    def __init__(self, blocks: Iterable[Block]):
        self.characters = self.bytes = self.spaces = 0
        self.documents = 1
        self.blank = True
        self.kept: list[Block] | None = []
        self._hash, self._border_hash = hashlib.sha256(), hashlib.sha256()
        self._ascii = b""
        self._seen = np.zeros(CODE_POINTS, dtype=bool)
        for block in blocks:
            self._add(block)

    @property
    def sha256(self) -> str:
        """Hash of the UTF-8 bytes."""
        return self._hash.hexdigest()

    @property
    def borders_sha256(self) -> str:
        """Hash of the places where documents begin."""
        return self._border_hash.hexdigest()

    @property
    def alphabet(self) -> str:
        """Every character that occurs, in order of code point."""
        return "".join(sorted({*self._ascii.decode("ascii"), *map(chr, np.flatnonzero(self._seen).tolist())}))

    def _add(self, block: Block) -> None:
        content = block.text.encode()
        self._hash.update(content)
        for border in block.borders:
            self._border_hash.update(b"%d " % (self.characters + border))
        self.characters += len(block.text)
        self.bytes += len(content)
        self.spaces += content.count(b" ") + content.count(b"\n")
        self.documents += len(block.borders)
        self.blank = self.blank and not block.text.strip()
        if len(content) == len(block.text):  # ASCII; to delete what is known is the fastest way to see what is new
            self._ascii += bytes(set(content.translate(None, self._ascii)))
        else:
            self._seen[np.frombuffer(block.text.encode("utf-32-le"), dtype="<u4")] = True
        if self.kept is not None:
            self.kept.append(block)
            if self.characters > KEPT_CHARACTERS:
                self.kept = None
