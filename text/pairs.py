"""Prompts with the responses that are wanted: read from a .csv or .jsonl file, and written as texts by a template.

    prompt,response                                   {"prompt": "Name a bird.", "response": "The wren."}
    Name a bird.,The wren.

    Prompt: Name a bird.⏎Response: The wren.⏎⏎        what the model reads: the markers are text like any other
    └──── read ────────────────┘└─ learned ─┘         it learns to write the response and the end, not the prompt

Every pair is a document of its own; which of them validate is decided by pair. Line ends CRLF and CR become LF.
"""

import csv
import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from config.data_config import DataConfig, parse_data_size
from config.errors import TextError
from text.corpus import Corpus, make_corpus
from text.documents import ENCODINGS
from text.pieces import check_surrogates
from text.streams import MAX_LINE_BYTES

SUFFIXES = (".csv", ".jsonl")
FEWEST = 2  # one to learn from, one to validate with
SHOWN = 8  # names in a sentence


@dataclass(frozen=True)
class Pair:
    """One text of the file, in its two parts.

    Attributes:
        prompt: what the model is given, with the template around it.
        response: what it is to write, with the end of the template.
    """

    prompt: str
    response: str


@dataclass(frozen=True)
class PairCorpus:
    """All pairs of a file.

    Attributes:
        corpus: the same as one text: its characters, size and hash.
        to_learn_from: the training split as one text, with every character of both; for a tokenizer.
        train, val: the pairs of both splits, in the order of the file.
    """

    corpus: Corpus
    to_learn_from: Corpus
    train: tuple[Pair, ...]
    val: tuple[Pair, ...]


def read_pairs(data: DataConfig) -> PairCorpus:
    """The pairs that the settings of a run mean.

    Raises:
        TextError: the file cannot be read, or one of its lines is no pair; line and field are named.
    """
    path = Path(data.text_file)
    if path.suffix.lower() not in SUFFIXES:
        raise TextError(f"{path} is not a file of pairs: give a .csv or a .jsonl")
    fields = (data.prompt_field, data.response_field)
    content = _read_file(path, data.encoding)
    records = (
        _csv_records(content, str(path), fields) if path.suffix.lower() == ".csv" else _json_records(content, path)
    )
    before, between, after = data.template_parts
    pairs = []
    for line, record in records:
        prompt, response = (_field(record, name, f"line {line:,} of {path}") for name in fields)
        pairs.append(Pair(before + prompt + between, response + after))
    pairs = pairs[: parse_data_size(data.data_size, len(pairs))] if pairs else pairs
    if len(pairs) < FEWEST:
        raise TextError(
            f"{path} has {len(pairs)} pairs, but {FEWEST} or more are needed: one to learn, one to validate"
        )
    return _split(pairs, data.val_fraction, path.name)


def _split(pairs: list[Pair], val_fraction: float, name: str) -> PairCorpus:
    """One pair in every so many validates: a file that is sorted by subject has all of them on both sides."""
    every = min(max(FEWEST, round(1 / val_fraction)), len(pairs))
    train = tuple(pair for number, pair in enumerate(pairs, start=1) if number % every)
    val = tuple(pairs[every - 1 :: every])
    texts = ["".join(pair.prompt + pair.response for pair in split) for split in (train, val)]
    corpus = make_corpus("".join(texts), name)
    to_learn_from = replace(make_corpus(texts[0], name), alphabet=corpus.alphabet)
    borders = json.dumps([[(len(pair.prompt), len(pair.response)) for pair in split] for split in (train, val)])
    digest = hashlib.sha256(b"pairs " + borders.encode()).hexdigest()
    return PairCorpus(replace(corpus, borders_sha256=digest), to_learn_from, train, val)


def _read_file(path: Path, encoding: str) -> str:
    if encoding not in ENCODINGS:
        raise TextError(f"there is no encoding {encoding[:40]!r}; use utf-8 or latin-1")
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise TextError(f"there is no file {path}") from None
    except OSError as error:
        raise TextError(f"{path} cannot be read: {error.strerror}") from None
    try:
        text = content.decode("utf-8-sig" if encoding == "utf-8" else encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise TextError(
            f"line {line:,} of {path} is not UTF-8: it has the byte 0x{content[error.start]:02x}; save the file as "
            "UTF-8, or read it with --encoding latin-1"
        ) from None
    if (zero := text.find("\0")) >= 0:
        raise TextError(f"line {text.count(chr(10), 0, zero) + 1:,} of {path} has a zero in it, which no text has")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _csv_records(content: str, name: str, fields: tuple[str, str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Every row by the names in the first line, with the number of the line that it begins in."""
    csv.field_size_limit(MAX_LINE_BYTES)
    rows = csv.reader(io.StringIO(content), strict=True)
    line = 1
    try:
        names = next(rows, [])
        if absent := [field for field in fields if field not in names]:
            raise TextError(
                f"line 1 of {name} names no column {absent[0]!r}, but {_listed(names)}: choose the columns by "
                "--prompt_field and --response_field"
            )
        line = rows.line_num + 1
        for row in rows:
            if row and len(row) != len(names):
                raise TextError(
                    f"line {line:,} of {name} has {len(row)} fields where line 1 names {len(names)}: put a field with "
                    'commas or line breaks in it between quotes (")'
                )
            if row:
                yield line, dict(zip(names, row, strict=True))
            line = rows.line_num + 1
    except csv.Error as error:
        raise TextError(f"line {line:,} of {name} is not CSV: {error}") from None


def _json_records(content: str, path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(content.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise TextError(f"line {number:,} of {path} is not JSON: {error}") from None
        if not isinstance(record, dict):
            raise TextError(f'line {number:,} of {path} is not a JSON object such as {{"prompt": …, "response": …}}')
        yield number, record


def _field(record: dict[str, Any], name: str, where: str) -> str:
    if name not in record:
        raise TextError(
            f"{where} has no field {name!r}, but {_listed(record)}: choose the fields by --prompt_field and "
            "--response_field"
        )
    value = record[name]
    if not isinstance(value, str):
        raise TextError(f"{where}: its field {name!r} is no text, but {json.dumps(value)[:40]}")
    if not value.strip():
        raise TextError(f"{where}: its field {name!r} is empty; fill it in, or remove the line")
    if "\0" in value:
        raise TextError(f"{where}: its field {name!r} has a zero in it, which no text has")
    check_surrogates(value, where)
    return value.replace("\r\n", "\n").replace("\r", "\n")


def _listed(names: Any) -> str:
    there = [repr(str(name)[:40]) for name in names]
    return ", ".join(there[:SHOWN]) + (" …" if len(there) > SHOWN else "") if there else "nothing"
