"""From files to documents: .txt, .txt.gz, .jsonl and folders of them, read stretch by stretch, whatever their size.

What reading changes, so that every token is about the text and not about the file: a byte order mark at the start is
dropped, and line ends of Windows and old Macs (CRLF, CR) become LF. Where there are several documents, an empty one is
left out and every other ends in a line break, which is added where it is missing. Nothing else is touched.

    .txt  .txt.gz       one document, or as many as a separator parts (a text such as <|endoftext|> between documents)
    .jsonl  .jsonl.gz   one document per line: {"text": "..."}, the field can be chosen
    a folder            all such files in it, in the order of their names

Only one line of a .jsonl file must fit in memory, so its length is limited (`MAX_LINE_BYTES`).
"""

import codecs
import gzip
import io
import json
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

from config.errors import TextError
from text.blocks import Block, Part, collect
from text.pieces import check_surrogates

SUFFIXES = (".txt", ".txt.gz", ".jsonl", ".jsonl.gz")
ENCODINGS = ("utf-8", "latin-1")
READ_BYTES = 1_000_000
MAX_LINE_BYTES = 100 * 1024 * 1024

Report = Callable[[int, int], None]
"""Called with (bytes read, bytes in all) of the files as they lie on disk."""


@dataclass
class Changes:
    """What reading changed, by file."""

    names: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    empty_documents: int = 0

    def note(self, sentence: str, name: str) -> None:
        """Remember that `sentence`, which has a place for the name, is true of a file."""
        if name not in self.names[sentence]:
            self.names[sentence].append(name)

    def sentences(self) -> list[str]:
        """What to tell a person."""
        found = []
        for sentence, names in self.names.items():
            more = f" and {len(names) - 1:,} more files" if len(names) > 1 else ""
            found.append(sentence.format(names[0] + more))
        if self.empty_documents:
            were = "document was" if self.empty_documents == 1 else "documents were"
            found.append(f"{self.empty_documents:,} empty {were} left out.")
        return found


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
            files = sorted(file for file in self.path.iterdir() if _is_text(file.name) and file.is_file())
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
        for path in files:
            with _explain_failure(path), path.open("rb") as raw:
                stream: BinaryIO = raw
                if path.name.lower().endswith(".gz"):
                    stream = cast(BinaryIO, gzip.GzipFile(fileobj=raw))
                if _is_json(path.name):
                    parts = read_json_lines(stream, str(path), self.field, changes)
                else:
                    parts = split_documents(read_text_stream(stream, str(path), self.encoding, changes), self.separator)
                empty = True
                for part in parts:
                    empty = False
                    yield part
                    report(before + raw.tell(), total)
                before += raw.tell()
                if empty and len(files) > 1:
                    changes.empty_documents += 1


def read_text_stream(stream: BinaryIO, name: str, encoding: str, changes: Changes) -> Iterator[str]:
    """The characters of a file, as they come.

    Raises:
        TextError: UTF-16, binary, or not in `encoding`; the byte is named.
    """
    decoder = codecs.getincrementaldecoder(encoding)()
    newlines = io.IncrementalNewlineDecoder(None, translate=True)
    position = 0
    while content := stream.read(READ_BYTES):
        start = _skip_mark(content, name, encoding, changes) if position == 0 else 0
        if (zero := content.find(b"\0")) >= 0:
            place = position + zero + 1
            raise TextError(f"{name} is not a text file: byte {place:,} is zero, which only binary files have")
        if text := newlines.decode(_decode(decoder, content[start:], name, encoding, position + start)):
            yield text
        position += len(content)
    if text := newlines.decode(_decode(decoder, b"", name, encoding, position), final=True):
        yield text
    if newlines.newlines not in (None, "\n"):
        changes.note("The line ends of {} (CRLF or CR) were turned into LF.", name)


def read_json_lines(stream: BinaryIO, name: str, field: str, changes: Changes) -> Iterator[Part]:
    """One document per line of a .jsonl file: the text in `field`.

    Raises:
        TextError: a line is too long, not UTF-8, not JSON, or has no text in `field`; the line is named.
    """
    number = 0
    while line := stream.readline(MAX_LINE_BYTES + 1):
        number += 1
        where = f"line {number:,} of {name}"
        if len(line) > MAX_LINE_BYTES:
            raise TextError(f"{where} is longer than {MAX_LINE_BYTES:,} bytes: cut this document into several")
        if number == 1:
            line = line[_skip_mark(line, name, "utf-8", changes) :]
        if not line.strip():
            continue
        text = _text_of_line(line, where, field)
        if "\r" in text:
            text = text.replace("\r\n", "\n").replace("\r", "\n")
            changes.note("The line ends of {} (CRLF or CR) were turned into LF.", name)
        if text.strip():
            yield text, True
        else:
            changes.empty_documents += 1


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


def _skip_mark(content: bytes, name: str, encoding: str, changes: Changes) -> int:
    """How many bytes the byte order mark at the start of a file has."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) and encoding == "utf-8":
        raise TextError(f"{name} is UTF-16 (Windows calls it Unicode): save it as UTF-8")
    if not content.startswith(codecs.BOM_UTF8):
        return 0
    changes.note("The byte order mark at the start of {} was removed.", name)
    return len(codecs.BOM_UTF8)


def _decode(decoder: codecs.IncrementalDecoder, content: bytes, name: str, encoding: str, position: int) -> str:
    """The next characters; `position` says how many bytes of the file stand before `content`."""
    held = len(decoder.getstate()[0])  # the first bytes of a character whose last ones come now
    try:
        return decoder.decode(content, final=not content)
    except UnicodeDecodeError as error:
        place, byte = position - held + error.start + 1, error.object[error.start]
        raise TextError(
            f"{name} is not {encoding.upper()}: byte {place:,} is 0x{byte:02x}; save it as UTF-8, or read it with "
            "--encoding latin-1 (every file can be read so; accents may come out wrong)"
        ) from None


def _text_of_line(line: bytes, where: str, field: str) -> str:
    try:
        record = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise TextError(f"{where} is not UTF-8: its byte {error.start + 1:,} is 0x{line[error.start]:02x}") from None
    except (ValueError, RecursionError) as error:
        raise TextError(f"{where} is not JSON: {error}") from None
    if not isinstance(record, dict):
        raise TextError(f"{where} is not a JSON object such as {{{json.dumps(field)}: ...}}")
    if field not in record:
        there = ", ".join(repr(name[:40]) for name in list(record)[:8]) or "no field at all"
        raise TextError(f"{where} has no field {field!r}, it has {there}: choose the one with the text by --field")
    text = record[field]
    if not isinstance(text, str):
        raise TextError(f"{where} has no text in its field {field!r}, but {json.dumps(text)[:40]}")
    if (zero := text.find("\0")) >= 0:
        raise TextError(f"character {zero + 1:,} of {where} is zero, which no text has; remove it")
    check_surrogates(text, where)
    return text


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
