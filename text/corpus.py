"""The text that a model learns from: how long it is, what is in it, and its blocks, as often as they are needed.

A corpus is read once, from end to end, when it is opened: that gives its numbers and its hash and finds every byte that
is wrong. A short text then stays in memory. A long one does not: whoever needs its characters reads the files again,
block by block, so that memory does not grow with the corpus.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from config.data_config import FRACTION, MUCH_TEXT, parse_data_size
from config.errors import TextError
from text.blocks import Block, collect, take
from text.documents import Changes, Documents, Report
from text.pieces import check_surrogates
from text.survey import Survey

SPLIT_SEARCH = 10_000

CHECKED_BYTES = 64_000_000
"""`check_text` reads files up to this size to their end, and of larger ones the beginning."""


@dataclass(frozen=True)
class Corpus:
    """A text to learn from.

    Args:
        name: File or folder name, for display.
        characters: How many it has, after the changes named in text/documents.py and cut to the size asked for.
        bytes: Number of their UTF-8 bytes.
        sha256: Of these bytes: equal texts are equal corpora, wherever they come from.
        documents: How many documents it has.
        borders_sha256: Of the places where the second and each later one begins; the blocks say where they are.
        alphabet: Every character that occurs, in order of code point.
        spaces: How many spaces and line breaks it has.
        notes: Sentences about what was changed or ignored, to be shown.
        source: Gives the blocks; see `blocks`.
    """

    name: str
    characters: int
    bytes: int
    sha256: str
    documents: int
    borders_sha256: str
    alphabet: str = field(repr=False)
    spaces: int
    notes: tuple[str, ...]
    source: Callable[[], Iterable[Block]] = field(repr=False, compare=False)

    def blocks(self) -> Iterator[Block]:
        """The text from its start, in blocks of about a million characters.

        Raises:
            TextError: a file is gone or has changed so that it cannot be read any more.
        """
        return iter(self.source())

    def record(self) -> dict[str, Any]:
        """What to write down about it, as plain values."""
        names = ("name", "sha256", "bytes", "characters", "documents", "borders_sha256")
        return {name: getattr(self, name) for name in names} | {"notes": list(self.notes)}

    @property
    def text(self) -> str:
        """All of it as one string: for texts that are known to be short."""
        return self.head(self.characters)

    def head(self, characters: int) -> str:
        """The first `characters` characters, or all if there are fewer."""
        return "".join(block.text for block in take(self.blocks(), characters)) if characters > 0 else ""


def read_text(
    path: str | Path,
    encoding: str = "utf-8",
    data_size: str = "1.0",
    *,
    field: str = "text",
    separator: str = "",
    report: Report | None = None,
) -> Corpus:
    """The text of a file or a folder; see text/documents.py for what they may be.

    Args:
        data_size: How much of it to use, from its start; see `config.data_config.parse_data_size`.
        field: The field of .jsonl lines with the text.
        separator: What stands between two documents of a text file.
        report: Called now and then with (bytes read, bytes in all) of the files.

    Raises:
        TextError: missing, empty, binary, damaged, not in `encoding`, a folder without texts, or a bad `data_size`.
    """
    path = Path(path)
    documents = Documents(path, encoding, field, separator)

    def read(changes: Changes | None) -> Iterator[Block]:
        return documents.blocks(changes, report)

    return _survey(read, path.name or str(path), data_size, ())


def make_corpus(text: str, name: str, data_size: str = "1.0", notes: Sequence[str] = ()) -> Corpus:
    """A corpus of a text that is already in memory (an upload, a test).

    Raises:
        TextError: empty, half of a surrogate pair inside, or a bad `data_size`.
    """
    check_surrogates(text, name)
    return _survey(lambda changes: collect([(text, True)] if text else []), name, data_size, notes)


def check_text(path: str | Path, encoding: str = "utf-8", data_size: str = "1.0") -> Corpus | None:
    """Find at once what `read_text` would refuse; of a huge text only what its beginning shows, and then None.

    Raises:
        TextError: as `read_text`.
    """
    documents = Documents(Path(path), encoding)
    if documents.size_on_disk() <= CHECKED_BYTES:
        return read_text(path, encoding, data_size)
    parse_data_size(data_size, documents.size_on_disk())
    next(documents.blocks())
    return None


def split_index(text: str, val_fraction: float) -> int:
    """Where the validation split begins: behind the first line break after the share of the training split.

    The text is split before it is cut into tokens or windows, so no validation window holds training text. Without a
    line break nearby the border falls between two characters.
    """
    exact, end = _search_range(len(text), val_fraction)
    return _behind_line_break(text[exact:end], exact, len(text))


def split_position(corpus: Corpus, val_fraction: float) -> int:
    """`split_index` of a corpus; of a long one, all that stands before the border is read for it."""
    exact, end = _search_range(corpus.characters, val_fraction)
    found: list[str] = []
    position = 0
    for block in take(corpus.blocks(), end):
        found.append(block.text[max(0, exact - position) :])
        position += len(block.text)
    return _behind_line_break("".join(found), exact, corpus.characters)


def _search_range(characters: int, val_fraction: float) -> tuple[int, int]:
    exact = round(characters * (1 - val_fraction))
    return exact, min(exact + SPLIT_SEARCH, exact + characters // 100 + 1, characters)


def _behind_line_break(searched: str, start: int, characters: int) -> int:
    line_break = start + searched.find("\n")
    return line_break + 1 if start <= line_break < characters - 1 else start


def _survey(
    read: Callable[[Changes | None], Iterator[Block]], name: str, data_size: str, notes: Sequence[str]
) -> Corpus:
    """Read everything that is wanted once, and say what it is."""
    wanted = parse_data_size(data_size, MUCH_TEXT)
    if FRACTION.fullmatch(data_size.strip()) and wanted < MUCH_TEXT:
        wanted = parse_data_size(data_size, Survey(read(None)).characters)  # a fraction of how many?
    changes = Changes()
    found = Survey(take(read(changes), wanted))
    if found.blank:
        what = "holds only white space" if found.characters else "is empty"
        raise TextError(f"{name} {what}: give a file with text in it")
    sentences = [*notes, *changes.sentences()]
    if found.characters < wanted < MUCH_TEXT:
        sentences.append(
            f"data_size {data_size} is more than the {found.characters:,} characters of {name}: all are used."
        )
    kept = found.kept
    return Corpus(
        name=name,
        characters=found.characters,
        bytes=found.bytes,
        sha256=found.sha256,
        documents=found.documents,
        borders_sha256=found.borders_sha256,
        alphabet=found.alphabet,
        spaces=found.spaces,
        notes=tuple(sentences),
        source=partial(_take_again, read, found.characters) if kept is None else lambda: kept,
    )


def _take_again(read: Callable[[Changes | None], Iterator[Block]], characters: int) -> Iterator[Block]:
    return take(read(None), characters)
