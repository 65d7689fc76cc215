"""From files to documents: .txt, .txt.gz, .jsonl and folders of them, read stretch by stretch, whatever their size.

What reading changes, so that every token is about the text and not about the file: a byte order mark at the start is
dropped, and line ends of Windows and old Macs (CRLF, CR) become LF. Where there are several documents, an empty one is
left out and every other ends in a line break, which is added where it is missing. Nothing else is touched.

    .txt  .txt.gz       one document, or as many as a separator parts (a text such as <|endoftext|> between documents)
    .jsonl  .jsonl.gz   one document per line: {"text": "..."}, the field can be chosen
    a folder            all such files in it, in the order of their names, but no hidden ones

Only one line of a .jsonl file must fit in memory, so its length is limited (`text.streams.MAX_LINE_BYTES`).
"""

import gzip
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from config.errors import TextError
from text.blocks import Block, Part, collect
from text.streams import Changes, read_json_lines, read_text_stream
from text.tokenizer import END_OF_TEXT

SUFFIXES = (".txt", ".txt.gz", ".jsonl", ".jsonl.gz")
ENCODINGS = ("utf-8", "latin-1")

MARKED = (
    f"{{}} has {END_OF_TEXT} in it, read as text; if documents end there: "
    f"python -m text.prepare … --separator '{END_OF_TEXT}'"
)

Report = Callable[[int, int], None]
"""Called with (bytes read, bytes in all) of the files as they lie on disk."""


@dataclass(frozen=True)
class Documents:
    """The documents of a file or of a folder. Nothing is read before `blocks` is asked for.

    Args:
        path: A file, or a folder.
        encoding: "utf-8" or "latin-1".
        field: The field of a .jsonl line that holds the text.
        separator: What stands between two documents of a text file; "" when a file is one document.
    """

    path: Path
    encoding: str = "utf-8"
    field: str = "text"
    separator: str = ""

    def files(self) -> list[Path]:
        """The files, in the order in which they are read.

        Raises:
            TextError: there are none, or `encoding` is unknown.
        """
        if self.encoding not in ENCODINGS:
            raise TextError(f"there is no encoding {self.encoding[:40]!r}; use utf-8 or latin-1")
        if self.path.is_dir():
            files = [file for file in self._visible_files() if _is_text(file.name)]
            if not files and (self.path / "train.bin").is_file():
                raise TextError(f"the folder {self.path} holds tokens, not texts: give it to train.py as --text_file")
            if not files:
                raise TextError(f"the folder {self.path} has no .txt files (nor .txt.gz or .jsonl) in it")
            return files
        if not self.path.exists():
            raise TextError(f"there is no file {self.path}")
        if not self.path.is_file():
            raise TextError(f"{self.path} is neither a text file nor a folder")
        return [self.path]

    def _visible_files(self) -> list[Path]:
        """Hidden files are nobody's text; macOS puts a `._a.txt` beside every a.txt on a foreign disk."""
        return sorted(file for file in self.path.iterdir() if file.is_file() and not file.name.startswith("."))

    def size_on_disk(self) -> int:
        """Bytes of all files together, as they lie on disk."""
        return sum(file.stat().st_size for file in self.files())

    def blocks(self, changes: Changes | None = None, report: Report | None = None) -> Iterator[Block]:
        """The text of all files, from their first character on.

        Raises:
            TextError: a file cannot be read, or is not what its name promises; the place is named.
        """
        parts = self._parts(Changes() if changes is None else changes, report or (lambda done, total: None))
        files = self.files()
        if len(files) == 1 and not self.path.is_dir() and not self.separator and not _is_json(self.path.name):
            return collect(parts)  # the only document there is: not a character is added
        return collect(_end_lines(parts))

    def _parts(self, changes: Changes, report: Report) -> Iterator[Part]:
        files = self.files()
        total, before = self.size_on_disk(), 0
        if self.path.is_dir():
            changes.not_read = [file.name for file in self._visible_files() if not _is_text(file.name)]
        for path in files:
            with _explain_failure(path), path.open("rb") as raw:
                stream: BinaryIO = raw
                if path.name.lower().endswith(".gz"):
                    stream = cast(BinaryIO, gzip.GzipFile(fileobj=raw))
                if _is_json(path.name):
                    parts = read_json_lines(stream, str(path), self.field, changes)
                else:
                    texts = read_text_stream(stream, str(path), self.encoding, changes)
                    parts = split_documents(texts, self.separator)
                empty = True
                for part in parts:
                    empty = False
                    if not self.separator and not _is_json(path.name) and END_OF_TEXT in part[0]:
                        changes.note(MARKED, str(path))
                    yield part
                    report(before + raw.tell(), total)
                before += raw.tell()
                if empty and len(files) > 1:
                    changes.empty_documents.append(path.name)


def split_documents(texts: Iterable[str], separator: str) -> Iterator[Part]:
    """Part a stream of text at every `separator`; the line breaks after one belong to it. "" parts nothing."""
    begins, rest = True, ""
    for text in texts:
        if not separator:
            yield text, begins
            begins = False
            continue
        *whole, rest = (rest + text).split(separator)
        for document in whole:
            if document := document.lstrip("\n") if begins else document:
                yield document, begins
            begins = True
        safe = len(rest) - len(separator) + 1  # what follows may be the first half of a separator
        if safe > 0:
            if ready := rest[:safe].lstrip("\n") if begins else rest[:safe]:
                yield ready, begins
                begins = False
            rest = rest[safe:]
    if rest := rest.lstrip("\n") if begins else rest:
        yield rest, begins


def _end_lines(parts: Iterable[Part]) -> Iterator[Part]:
    """The parts, with a line break at the end of each document that has none."""
    last = "\n"
    for text, begins in parts:
        if begins and last != "\n":
            yield "\n", False
        yield text, begins
        last = text[-1]
    if last != "\n":
        yield "\n", False


@contextmanager
def _explain_failure(path: Path) -> Iterator[None]:
    try:
        yield
    except EOFError:
        raise TextError(f"{path} is cut off: its compressed data end too early; get the file again") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise TextError(f"{path} is damaged, or not a gzip file: {error}") from None
    except OSError as error:
        raise TextError(f"{path} cannot be read: {error.strerror}") from error


def _is_text(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def _is_json(name: str) -> bool:
    return name.lower().endswith((".jsonl", ".jsonl.gz"))
