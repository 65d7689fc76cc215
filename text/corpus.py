"""Reading the text that a model learns from, and saying clearly when a file is not such a text.

What reading changes, so that every token is about the text and not about the file: a byte order mark at the start is
dropped, and line ends of Windows and old Macs (CRLF, CR) become LF. Nothing else is touched.
"""

import codecs
import hashlib
import math
import re
from dataclasses import dataclass, field
from pathlib import Path

from config.errors import TextError
from text.pieces import check_surrogates

SIZE_UNITS = {"k": 1_000, "m": 1_000_000}
COUNT = re.compile(r"(\d+(?:\.\d+)?)([km])|(\d+)", re.ASCII)
FRACTION = re.compile(r"\d*\.\d+|\d+\.", re.ASCII)
SPLIT_SEARCH = 10_000
HOW_TO_SAY_SIZE = "write a fraction (0.1), a number of characters (50000), 100k, 1m, or all"


@dataclass(frozen=True)
class Corpus:
    """A text to learn from.

    Args:
        text: The characters, after the changes named at the top of this file and cut to the size asked for.
        name: File or folder name, for display.
        sha256: Of the UTF-8 bytes of `text`: equal texts are equal corpora, wherever they come from.
        bytes: Number of UTF-8 bytes of `text`.
        notes: Sentences about what was changed or ignored, to be shown.
    """

    text: str = field(repr=False)
    name: str
    sha256: str
    bytes: int
    notes: tuple[str, ...] = ()


def read_text(path: str | Path, encoding: str = "utf-8", data_size: str = "1.0") -> Corpus:
    """The text of a file, or of all .txt files of a folder in the order of their names.

    Raises:
        TextError: missing, empty, binary, not in `encoding`, a folder without .txt files, or a bad `data_size`.
    """
    path = Path(path)
    parts = []
    notes: list[str] = []
    for file in _text_files(path):
        part = decode_text(_read_bytes(file), str(file), encoding, notes)
        if part:
            parts.append(part if part.endswith("\n") or not path.is_dir() else part + "\n")
    return make_corpus("".join(parts), path.name or str(path), data_size, notes)


def make_corpus(text: str, name: str, data_size: str = "1.0", notes: list[str] | None = None) -> Corpus:
    """A corpus of a text that is already in memory (an upload, a test).

    Raises:
        TextError: empty, half of a surrogate pair inside, or a bad `data_size`.
    """
    notes = list(notes or [])
    if not text.strip():
        raise TextError(f"{name} is empty: give a file with text in it")
    wanted = parse_data_size(data_size, len(text))
    if wanted > len(text):
        notes.append(f"data_size {data_size} is more than the {len(text):,} characters of {name}: all are used.")
    text = text[:wanted]
    check_surrogates(text, name)
    encoded = text.encode()
    return Corpus(text, name, hashlib.sha256(encoded).hexdigest(), len(encoded), tuple(notes))


def decode_text(content: bytes, name: str, encoding: str = "utf-8", notes: list[str] | None = None) -> str:
    """The characters of a file's bytes; what was changed on the way is added to `notes`.

    Raises:
        TextError: UTF-16, binary, or not in `encoding`.
    """
    notes = [] if notes is None else notes
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) and encoding == "utf-8":
        raise TextError(f"{name} is UTF-16 (Windows calls it Unicode): save it as UTF-8")
    if content.startswith(codecs.BOM_UTF8):
        content = content[len(codecs.BOM_UTF8) :]
        notes.append(f"The byte order mark at the start of {name} was removed.")
    if (position := content.find(b"\0")) >= 0:
        raise TextError(f"{name} is not a text file: byte {position + 1:,} is zero, which only binary files have")
    try:
        text = content.decode(encoding)
    except LookupError:
        raise TextError(f"there is no encoding {encoding[:40]!r}; use utf-8 or latin-1") from None
    except UnicodeDecodeError as error:
        raise TextError(
            f"{name} is not {encoding.upper()}: byte {error.start + 1:,} is 0x{content[error.start]:02x}; save it as "
            "UTF-8, or read it with --encoding latin-1 (every file can be read so; accents may come out wrong)"
        ) from None
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        notes.append(f"The line ends of {name} (CRLF or CR) were turned into LF.")
    return text


def parse_data_size(size: str, total_characters: int) -> int:
    """How many characters `--data_size` asks for: "0.1" is a fraction, "50000", "100k" and "1m" are counts.

    A count may be more than there is; the caller decides what to do then.

    Raises:
        TextError: not a size, or nothing would be left.
    """
    wanted = size.strip().lower()
    if wanted in ("all", "1.0"):
        return total_characters
    if wanted == "1":
        raise TextError("data_size 1 would be one single character; write 1.0 or all for the whole text")
    if FRACTION.fullmatch(wanted):
        if not 0 < float(wanted) <= 1:
            raise TextError(f"data_size {size[:40]} is not a fraction above 0 and up to 1.0; {HOW_TO_SAY_SIZE}")
        count = math.floor(total_characters * float(wanted))
    elif match := COUNT.fullmatch(wanted):
        number, unit, plain = match.groups()
        count = int(plain) if plain else round(float(number) * SIZE_UNITS[unit])
    else:
        raise TextError(f"data_size {size[:40]!r} is not a size; {HOW_TO_SAY_SIZE}")
    if count < 1:
        raise TextError(f"data_size {size[:40]} of {total_characters:,} characters leaves no text; {HOW_TO_SAY_SIZE}")
    return count


def split_index(text: str, val_fraction: float) -> int:
    """Where the validation split begins: behind the first line break after the share of the training split.

    The text is split before it is cut into tokens or windows, so no validation window holds training text. Without a
    line break nearby the border falls between two characters.
    """
    exact = round(len(text) * (1 - val_fraction))
    line_break = text.find("\n", exact, min(exact + SPLIT_SEARCH, exact + len(text) // 100 + 1))
    return line_break + 1 if 0 <= line_break < len(text) - 1 else exact


def _text_files(path: Path) -> list[Path]:
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix.lower() == ".txt" and file.is_file())
        if not files:
            raise TextError(f"the folder {path} has no .txt files in it")
        return files
    if not path.exists():
        raise TextError(f"there is no file {path}")
    if not path.is_file():
        raise TextError(f"{path} is neither a text file nor a folder")
    return [path]


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TextError(f"{path} cannot be read: {error.strerror}") from error
