"""Characters out of open files, as they come: plain text in any number of reads, and .jsonl line by line."""

import codecs
import io
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from config.errors import TextError
from text.blocks import Part
from text.pieces import check_surrogates

READ_BYTES = 1_000_000
MAX_LINE_BYTES = 100 * 1024 * 1024


@dataclass
class Changes:
    """What reading changed, by file."""

    names: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    empty_documents: list[str] = field(default_factory=list)
    not_read: list[str] = field(default_factory=list)

    def note(self, sentence: str, name: str) -> None:
        """Remember that `sentence`, which has a place for the name, is true of a file."""
        if name not in self.names[sentence]:
            self.names[sentence].append(name)

    def sentences(self) -> list[str]:
        """What to tell a person."""
        found = []
        for sentence, names in self.names.items():
            found.append(sentence.format(_some(names, 1)))
        if self.empty_documents:
            were = "document was" if len(self.empty_documents) == 1 else "documents were"
            found.append(f"{len(self.empty_documents):,} empty {were} left out: {_some(self.empty_documents)}.")
        if self.not_read:
            are = "file is" if len(self.not_read) == 1 else "files are"
            which = f"not read (no .txt, .txt.gz, .jsonl): {_some(self.not_read)}"
            found.append(f"{len(self.not_read):,} {are} {which}.")
        return found


def _some(names: list[str], shown: int = 3) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - shown:,} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


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
        content = _decode_line(line, where)
        line = b""  # a line of 100 MB is 400 MB of text when it has an emoji: nothing of it is kept twice for long
        text, content = _text_of_line(content, where, field), ""
        if "\r" in text:
            text = text.replace("\r\n", "\n").replace("\r", "\n")
            changes.note("The line ends of {} (CRLF or CR) were turned into LF.", name)
        if text.strip():
            yield text, True
        else:
            changes.empty_documents.append(where)


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


def _decode_line(line: bytes, where: str) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise TextError(f"{where} is not UTF-8: its byte {error.start + 1:,} is 0x{line[error.start]:02x}") from None


def _text_of_line(line: str, where: str, field: str) -> str:
    try:
        record = json.loads(line)
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
