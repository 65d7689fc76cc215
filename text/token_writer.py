"""Writing the tokens of a corpus: its pieces are encoded, by one process or by several, and appended to two files.

Only a few pieces are in memory at a time, whatever the length of the corpus (text/processes.py).
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from config.errors import TextError
from text.atomic import write_atomically
from text.blocks import Block, Split, cut_into_pieces
from text.corpus import Corpus
from text.processes import map_in_processes
from text.tokenizer import Tokenizer
from text.tokenizer_types import load_tokenizer

NOTE = "progress.json"

Progress = Callable[[int, int], None]
"""Called with (characters done, characters in all)."""

Piece = tuple[Split, Block]
Encoded = tuple[Split, Block, np.ndarray]
Encode = Callable[[Iterator[Piece]], Iterator[Encoded]]


@dataclass(frozen=True)
class Written:
    """What is in the files.

    Args:
        counts: Number of tokens, by "train" and "val".
        val_bytes: UTF-8 bytes of the text of the validation split.
    """

    counts: dict[str, int]
    val_bytes: int


def write_tokens(
    folder: Path,
    corpus: Corpus,
    border: int,
    dtype: np.dtype,
    encode: Encode,
    progress: Progress | None = None,
    note_seconds: float | None = None,
) -> Written:
    """Write train.bin and val.bin into `folder`; the validation split begins at character `border`.

    Args:
        encode: Gives the token ids of each piece, in order; see `choose_encoder`.
        progress: Called after every piece.
        note_seconds: How often to write down how far the work is. A later call with the same arguments then continues
            there; None for files that nobody will continue.

    Raises:
        TextError: the tokenizer cannot encode the text, or the text changed since `corpus` was opened.
    """
    reading = _Reading(corpus)
    pieces = reading.watch(cut_into_pieces(corpus.blocks(), border))
    with _SplitFiles(folder, dtype, note_seconds) as files:
        for _ in zip(range(files.pieces), pieces, strict=False):  # these are in the files already
            pass
        done = reading.characters
        for split, piece, ids in encode(pieces):
            files.append(split, ids)
            done += len(piece.text)
            if progress is not None:
                progress(done, corpus.characters)
    if reading.sha256 != corpus.sha256:
        raise TextError(f"{corpus.name} changed while its tokens were made: start again")
    return Written(files.counts, reading.val_bytes)


def encode_piece(tokenizer: Tokenizer, piece: Block) -> np.ndarray:
    """Token ids `[pos]` of a piece, with the end-of-text token at its borders (a foreign tokenizer may have none).

    `<|endoftext|>` inside of a document stays the text that it is: nobody's text can end a document.
    """
    end_of_text = tokenizer.end_of_text
    if end_of_text is None or not piece.borders:
        return tokenizer.encode_array(piece.text)
    parts: list[np.ndarray] = []
    start = 0
    for border in piece.borders:
        parts += [tokenizer.encode_array(piece.text[start:border]), np.array([end_of_text], dtype=tokenizer.dtype)]
        start = border
    return np.concatenate([*parts, tokenizer.encode_array(piece.text[start:])])


def choose_encoder(tokenizer: Tokenizer, processes: int, folder: Path) -> Encode:
    """The way to encode in as many processes; several of them get the tokenizer through `folder`."""
    if processes == 1:
        return partial(encode_here, tokenizer=tokenizer)
    tokenizer.save(folder)
    return partial(encode_in_processes, folder=folder, processes=processes)


def encode_here(pieces: Iterator[Piece], tokenizer: Tokenizer) -> Iterator[Encoded]:
    """Encode in this process."""
    for split, piece in pieces:
        yield split, piece, encode_piece(tokenizer, piece)


def encode_in_processes(pieces: Iterator[Piece], folder: Path, processes: int) -> Iterator[Encoded]:
    """Encode in several processes, with the tokenizer saved in `folder`; the order stays.

    Raises:
        TextError: a process was killed, as a system does that runs out of memory.
    """
    start = partial(_load_tokenizer, str(folder))
    for (split, piece), ids in map_in_processes(_encode_in_process, pieces, processes, start):
        yield split, piece, ids


_tokenizer_of_process: Tokenizer


def _load_tokenizer(folder: str) -> None:
    global _tokenizer_of_process
    _tokenizer_of_process = load_tokenizer(folder)


def _encode_in_process(piece: Piece) -> np.ndarray:
    return encode_piece(_tokenizer_of_process, piece[1])


class _Reading:
    """What has been read of a corpus."""

    def __init__(self, corpus: Corpus):
        self.corpus = corpus
        self.characters = self.val_bytes = 0
        self._hash = hashlib.sha256()

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def watch(self, pieces: Iterator[Piece]) -> Iterator[Piece]:
        for split, piece in pieces:
            content = piece.text.encode()
            self._hash.update(content)
            self.characters += len(piece.text)
            self.val_bytes += len(content) if split == "val" else 0
            yield split, piece


class _SplitFiles:
    """train.bin and val.bin while they grow, and the note of how far they are."""

    def __init__(self, folder: Path, dtype: np.dtype, note_seconds: float | None):
        self._note, self._dtype, self._note_seconds = folder / NOTE, dtype, note_seconds
        self._paths = {name: folder / f"{name}.bin" for name in ("train", "val")}
        self.pieces, self.counts = self._read_note()
        self._files = {name: path.open("r+b" if self.pieces else "wb") for name, path in self._paths.items()}
        for name, file in self._files.items():  # what was written after the note is written again
            file.seek(file.truncate(self.counts[name] * dtype.itemsize))
        self._noted = time.monotonic()

    def append(self, split: Split, ids: np.ndarray) -> None:
        self._files[split].write(ids.astype(self._dtype, copy=False).tobytes())
        self.counts[split] += len(ids)
        self.pieces += 1
        if self._note_seconds is not None and time.monotonic() - self._noted >= self._note_seconds:
            self._sync()
            note = {"pieces": self.pieces, "counts": self.counts}
            write_atomically(self._note, json.dumps(note).encode())
            self._noted = time.monotonic()

    def _sync(self) -> None:
        for file in self._files.values():
            file.flush()
            os.fsync(file.fileno())

    def _read_note(self) -> tuple[int, dict[str, int]]:
        """Pieces and tokens that are in the files for certain."""
        if self._note_seconds is not None:
            try:
                note = json.loads(self._note.read_bytes())
                pieces, counts = int(note["pieces"]), {name: int(note["counts"][name]) for name in self._paths}
                if all(
                    path.stat().st_size >= counts[name] * self._dtype.itemsize for name, path in self._paths.items()
                ):
                    return pieces, counts
            except (OSError, ValueError, KeyError, TypeError):
                pass  # no note, or a damaged one: from the beginning
        return 0, dict.fromkeys(self._paths, 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._sync()
        for file in self._files.values():
            file.close()
