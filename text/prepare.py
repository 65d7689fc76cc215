"""Cuts a text of any size into tokens, in constant memory, ready to train on.

    python -m text.prepare corpus.jsonl --tokenizer bpe --vocab_size 8192 --out tokens/corpus
    python train.py --text_file tokens/corpus

The text may be a .txt, .txt.gz or .jsonl file or a folder of them (text/documents.py). The tokenizer is a type, which
is trained on this text, or the folder of one that exists, such as that of a run. Documents are parted by the
end-of-text token where the tokenizer has one. The end of the text becomes the validation split.

All work goes on in DIR.partial and is renamed to DIR when it is whole. Stop it at any time: the same command goes on
where it stopped. The text is read twice, once for its numbers and its hash and once for its tokens.
"""

import argparse
import fcntl
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from config.data_config import DataConfig
from config.errors import CheckpointError, ConfigError, TextError
from config.fields import find_problems
from text.atomic import sync_folder, write_atomically
from text.corpus import Corpus, read_text, split_position
from text.prepared import TOKENIZER, PreparedFolder, find_prepared
from text.progress_bar import byte_bar
from text.sample import learn_tokenizer, sampling_note
from text.token_file import check_lengths, write_manifest
from text.token_writer import NOTE, encode_here, encode_in_processes, write_tokens
from text.tokenizer import CLASSES, FILE_NAME, Tokenizer, load_tokenizer

EXIT_STOPPED, EXIT_WRONG_INPUT = 1, 2
REQUEST = "request.json"
NOTE_SECONDS = 5.0
MOST_PROCESSES = 8  # of them by default: 8 of gpt2's size stay below 1 GB together

Say = Callable[[str], None]
Report = Callable[[int, int], None]


def prepare(
    corpus: Corpus,
    tokenizer: str,
    out: Path,
    *,
    vocab_size: int = 1024,
    val_fraction: float = 0.1,
    processes: int = 1,
    report: Report | None = None,
    say: Say = lambda sentence: None,
) -> PreparedFolder:
    """Cut `corpus` into tokens, in the folder `out`; what an interrupted call has done is used.

    Args:
        tokenizer: A type of tokenizer, or the folder of one.
        vocab_size: For a tokenizer that is trained.
        processes: How many encode at a time.
        report: Called with (bytes done, bytes in all) of the text.
        say: Called with a sentence when there is something to tell.

    Raises:
        TextError: `out` holds something else, or the text or the tokenizer cannot be used.
        CheckpointError: the tokenizer is missing or damaged.
    """
    existing = load_existing(tokenizer)
    request = {
        "corpus": [corpus.sha256, corpus.borders_sha256],
        "val_fraction": val_fraction,
        "tokenizer": existing.content_hash() if existing else [tokenizer, vocab_size],
    }
    partial_folder = out.with_name(f"{out.name}.partial")
    if finished := _find_finished(out, request):
        say(f"{out} holds these tokens already")
        return finished
    with _owned(partial_folder):
        learned = _start(partial_folder, request, existing, corpus, tokenizer, vocab_size, val_fraction, say)
        _write(partial_folder, corpus, learned, val_fraction, processes, report, request)
        (partial_folder / NOTE).unlink(missing_ok=True)
        (partial_folder / REQUEST).unlink()
        partial_folder.rename(out)  # takes the place of an empty folder, too
    sync_folder(out.parent)
    finished = find_prepared(out)
    assert finished is not None
    return finished


def load_existing(tokenizer: str) -> Tokenizer | None:
    """The tokenizer in a folder, or None for the name of a type.

    Raises:
        TextError: neither of the two.
        CheckpointError: it is damaged.
    """
    if tokenizer in CLASSES:
        return None
    for folder in (Path(tokenizer), Path(tokenizer) / TOKENIZER):  # the folder of a run has it inside
        if (folder / FILE_NAME).is_file():
            return load_tokenizer(folder)
    raise TextError(f"--tokenizer {tokenizer} is neither one of {', '.join(CLASSES)} nor a folder with a tokenizer")


def _find_finished(out: Path, request: dict[str, Any]) -> PreparedFolder | None:
    """What an earlier call left in `out`, if it did the same."""
    if not out.exists():
        return None
    if not out.is_dir():
        raise TextError(f"{out} is a file: --out names a folder")
    found = find_prepared(out)
    if found is None and any(out.iterdir()):
        raise TextError(f"the folder {out} is not empty: choose another --out")
    if found is not None and found.manifest.get("request") != request:
        raise TextError(
            f"{out} holds other tokens ({found.manifest['corpus']['name']}, {found.manifest['tokenizer']['type']}, "
            f"val_fraction {found.manifest['val_fraction']}): remove it or choose another --out"
        )
    return found


@contextmanager
def _owned(folder: Path) -> Iterator[None]:
    """Make `folder` if needed and hold it alone; the kernel frees it when this process ends, however that happens."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise TextError(f"another process works in {folder}: wait for it, or choose another --out") from None
    finally:
        os.close(descriptor)


def _start(
    folder: Path,
    request: dict[str, Any],
    existing: Tokenizer | None,
    corpus: Corpus,
    name: str,
    vocab_size: int,
    val_fraction: float,
    say: Say,
) -> Tokenizer:
    """The tokenizer of the work in `folder`: found there, or put there at the beginning."""
    try:
        if json.loads((folder / REQUEST).read_bytes()) == request:
            tokenizer = load_tokenizer(folder / TOKENIZER)
            say(f"going on with the work in {folder}")
            return tokenizer
    except (OSError, ValueError):  # CheckpointError is a ValueError
        pass  # nothing there, or nothing of use: from the beginning
    for entry in folder.iterdir():
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    if existing is None:
        say(f"learning the {name} tokenizer. {sampling_note(name, corpus, val_fraction)}".strip())
    tokenizer = existing or learn_tokenizer(name, corpus, vocab_size, val_fraction)
    tokenizer.save(folder / TOKENIZER)
    write_atomically(folder / REQUEST, json.dumps(request).encode())
    return tokenizer


def _write(
    folder: Path,
    corpus: Corpus,
    tokenizer: Tokenizer,
    val_fraction: float,
    processes: int,
    report: Report | None,
    request: dict[str, Any],
) -> None:
    def progress(done: int, total: int) -> None:
        if report is not None:
            report(round(corpus.bytes * (done / total)), corpus.bytes)

    encode = partial(encode_here, tokenizer=tokenizer)
    if processes > 1:
        encode = partial(encode_in_processes, folder=folder / TOKENIZER, processes=processes)
    border = split_position(corpus, val_fraction)
    written = write_tokens(folder, corpus, border, tokenizer.dtype, encode, progress, NOTE_SECONDS)
    check_lengths(written.counts, corpus.name, corpus.characters, n_ctx=1)
    write_manifest(folder, corpus, tokenizer, val_fraction, written, request=request)


def main(argv: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    arguments = build_parser().parse_args(argv)

    def say(sentence: str) -> None:
        print(sentence, file=sys.stderr)

    try:
        _check_settings(arguments)
        load_existing(arguments.tokenizer)  # a wrong name is told before the text is read
        with byte_bar("Reading") as report:
            corpus = read_text(
                arguments.text, arguments.encoding, field=arguments.field, separator=arguments.separator, report=report
            )
        for note in corpus.notes:
            say(note)
        with byte_bar("Cutting into tokens") as report:
            prepared = prepare(
                corpus, arguments.tokenizer, arguments.out, vocab_size=arguments.vocab_size,
                val_fraction=arguments.val_fraction, processes=arguments.processes, report=report, say=say,
            )  # fmt: skip
    except (TextError, ConfigError, CheckpointError) as error:
        say(f"text.prepare: {error}")
        return EXIT_WRONG_INPUT
    except KeyboardInterrupt:
        say("text.prepare: stopped; the same command goes on from here")
        return EXIT_STOPPED
    counts, made_with = prepared.files.counts, prepared.manifest["tokenizer"]
    say(
        f"{counts['train']:,} tokens to train on and {counts['val']:,} to validate, {prepared.files.dtype}, from "
        f"{corpus.characters:,} characters (documents: {corpus.documents:,}); {made_with['type']} vocabulary of "
        f"{made_with['vocab_size']:,}\ntrain on them: python train.py --text_file {prepared.path}"
    )
    print(prepared.path)
    return 0


def build_parser() -> argparse.ArgumentParser:
    """All flags."""
    parser = argparse.ArgumentParser(prog="python -m text.prepare", description="Cut a text of any size into tokens.")
    parser.add_argument("text", type=Path, help="a .txt, .txt.gz or .jsonl file, or a folder of them")
    parser.add_argument("--tokenizer", default="bpe", help=f"{'|'.join(CLASSES)}, or a folder with one. Default bpe.")
    parser.add_argument("--out", type=Path, required=True, help="the folder to make")
    parser.add_argument("--vocab_size", "--vocab-size", type=int, default=1024, help="of a tokenizer that is trained")
    parser.add_argument("--val_fraction", "--val-fraction", type=float, default=0.1, help="share for validation")
    parser.add_argument("--encoding", choices=("utf-8", "latin-1"), default="utf-8", help="of the text files")
    parser.add_argument("--field", default="text", help="the field of .jsonl lines with the text. Default text.")
    parser.add_argument("--separator", default="", help="between documents in a text file, such as '<|endoftext|>'")
    parser.add_argument(
        "--processes", type=int, default=min(os.cpu_count() or 1, MOST_PROCESSES), help="that encode at a time"
    )
    return parser


def _check_settings(arguments: argparse.Namespace) -> None:
    if problems := find_problems(DataConfig, {"val_fraction": arguments.val_fraction}):
        raise ConfigError(problems)
    if not 1 <= arguments.processes <= 64:
        raise TextError(f"--processes {arguments.processes} must be from 1 to 64")


if __name__ == "__main__":
    sys.exit(main())
