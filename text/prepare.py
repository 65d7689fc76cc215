"""Cuts a text of any size into tokens, in constant memory, ready to train on.

    python -m text.prepare corpus.jsonl --tokenizer bpe --vocab_size 8192 --out tokens/corpus
    python train.py --text_file tokens/corpus

The text may be a .txt, .txt.gz or .jsonl file or a folder of them (text/documents.py). The tokenizer is a type, which
is trained on this text, or the folder of one that exists, such as that of a run. Documents are parted by the
end-of-text token, which every tokenizer made here for several documents has. The end of the text becomes the validation
split.

All work goes on in DIR.partial and is renamed to DIR when it is whole. Stop it at any time: the same command goes on
where it stopped. A long text is never in memory: it is read once for its numbers and its hash, once more for each thing
that depends on its length (where the validation split begins, what the tokenizer learns from), and once for its tokens.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from config.data_config import DataConfig
from config.errors import CheckpointError, ConfigError, TextError
from config.fields import describe, find_problems, is_active
from config.flags import add_flag, given_settings
from text.atomic import explain_writing, hold_alone, sync_folder, write_atomically
from text.corpus import Corpus, read_text, split_position
from text.learn import NOT_LEARNED, learn_tokenizer, sampling_note
from text.prepared import TOKENIZER, PreparedFolder, find_prepared
from text.processes import check_processes, useful_processes
from text.progress_bar import byte_bar
from text.token_file import check_lengths, write_manifest
from text.token_writer import NOTE, choose_encoder, write_tokens
from text.tokenizer import END_OF_TEXT, Tokenizer
from text.tokenizer_file import FILE_NAME
from text.tokenizer_types import LEARNED, load_tokenizer, tokenizer_class
from text.words import PATTERNS

EXIT_STOPPED, EXIT_WRONG_INPUT = 1, 2
REQUEST = "request.json"
NOTE_SECONDS = 5.0
DEFAULTS = DataConfig()

Say = Callable[[str], None]
Report = Callable[[int, int], None]


def prepare(
    corpus: Corpus,
    tokenizer: str,
    out: Path,
    *,
    vocab_size: int = DEFAULTS.vocab_size,
    bpe_pattern: str = DEFAULTS.bpe_pattern,
    sentencepiece_model: str = DEFAULTS.sentencepiece_model,
    val_fraction: float = DEFAULTS.val_fraction,
    processes: int = 1,
    beat: Callable[[], None] | None = None,
    report: Report | None = None,
    say: Say = lambda sentence: None,
) -> PreparedFolder:
    """Cut `corpus` into tokens, in the folder `out`; what an interrupted call has done is used.

    Args:
        tokenizer: A type of tokenizer, or the folder of one.
        vocab_size, bpe_pattern, sentencepiece_model: For a tokenizer that is trained; see config/data_config.py.
        processes: How many work at a time.
        beat: Called a few times a second while a tokenizer learns; see `text.tokenizer_types.train_tokenizer`.
        report: Called with (bytes done, bytes in all) of the text.
        say: Called with a sentence when there is something to tell.

    Raises:
        TextError: `out` holds something else, or the text or the tokenizer cannot be used.
        CheckpointError: the tokenizer is missing or damaged.
    """
    existing = load_existing(tokenizer)
    settings: dict[str, Any] = {
        "vocab_size": vocab_size, "bpe_pattern": bpe_pattern, "sentencepiece_model": sentencepiece_model,
    }  # fmt: skip
    request = {
        "corpus": [corpus.sha256, corpus.borders_sha256],
        "val_fraction": val_fraction,
        "tokenizer": existing.content_hash() if existing else [tokenizer, _with_effect(settings, tokenizer)],
    }
    if finished := _find_finished(out, request):
        say(f"{out} holds these tokens already")
        return finished

    if existing and existing.end_of_text is None and corpus.documents > 1:
        say(f"the tokenizer in {tokenizer} has no {END_OF_TEXT}: documents are parted by a line break alone")

    def make_tokenizer() -> Tokenizer:
        if existing:
            return existing
        if tokenizer not in NOT_LEARNED:
            say(f"learning the {tokenizer} tokenizer. {sampling_note(tokenizer, corpus, val_fraction)}".strip())
        return learn_tokenizer(tokenizer, corpus, val_fraction=val_fraction, processes=processes, beat=beat, **settings)

    folder = out.with_name(f"{out.name}.partial")
    with explain_writing(folder, "give the same command, which goes on from here"):
        folder.mkdir(parents=True, exist_ok=True)
        with hold_alone(folder, f"another process works in {folder}: wait for it, or choose another --out"):
            made_with = _start(folder, request, make_tokenizer, say)
            _write(folder, corpus, made_with, val_fraction, processes, report, request)
            (folder / NOTE).unlink(missing_ok=True)
            (folder / REQUEST).unlink()
            folder.rename(out)  # takes the place of an empty folder, too
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
    if tokenizer in LEARNED:
        return None
    for folder in (Path(tokenizer), Path(tokenizer) / TOKENIZER):  # the folder of a run has it inside
        if (folder / FILE_NAME).is_file():
            return load_tokenizer(folder)
    raise TextError(f"--tokenizer {tokenizer} is neither one of {', '.join(LEARNED)} nor a folder with a tokenizer")


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


def _start(folder: Path, request: dict[str, Any], make_tokenizer: Callable[[], Tokenizer], say: Say) -> Tokenizer:
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
    tokenizer = make_tokenizer()
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

    encode = choose_encoder(tokenizer, processes, folder / TOKENIZER)
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
        settings = check_settings(arguments)
        load_existing(arguments.tokenizer)  # a wrong name is told before the text is read,
        if arguments.tokenizer == "gpt2":  # and so is a vocabulary that is not here
            tokenizer_class("gpt2").train("", 0)
        with byte_bar("Reading") as report:
            corpus = read_text(
                arguments.text, arguments.encoding, field=arguments.field, separator=arguments.separator, report=report
            )
        for note in corpus.notes:
            say(note)
        processes = arguments.processes or useful_processes(corpus.bytes)
        with byte_bar("Cutting into tokens") as report:
            prepared = prepare(
                corpus, arguments.tokenizer, arguments.out, processes=processes, report=report, say=say,
                beat=lambda: None,  # so that Ctrl-C need not wait for SentencePiece
                **settings,
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
    parser.add_argument("--tokenizer", default="bpe", help=f"{'|'.join(LEARNED)}, or a folder with one. Default bpe.")
    parser.add_argument("--out", type=Path, required=True, help="the folder to make")
    add_flag(parser, "vocab_size", type=int, metavar="N", help="Of bpe or sentencepiece. Default 1,024.")
    add_flag(parser, "bpe_pattern", choices=tuple(PATTERNS), help="How bpe cuts words. Default gpt2.")
    add_flag(parser, "sentencepiece_model", choices=("bpe", "unigram"), help="How SentencePiece learns. Default bpe.")
    add_flag(parser, "val_fraction", type=float, metavar="F", help="Share for validation. Default 0.1.")
    parser.add_argument("--encoding", choices=("utf-8", "latin-1"), default="utf-8", help="of the text files")
    parser.add_argument("--field", default="text", help="the field of .jsonl lines with the text. Default text.")
    parser.add_argument("--separator", default="", help="between documents in a text file, such as '<|endoftext|>'")
    parser.add_argument("--processes", type=int, metavar="N", help="that work at a time. Default: as many as help.")
    return parser


def check_settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """The settings of `DataConfig` that were given.

    Raises:
        ConfigError: one of them is out of range.
        TextError: one would have no effect, or the number of processes is out of range.
    """
    given = {name: value for name, value in given_settings(arguments, DataConfig).items() if name != "encoding"}
    problems = find_problems(DataConfig, given)
    if "vocab_size" in (problem.field for problem in problems) and arguments.tokenizer in ("bpe", "sentencepiece"):
        tokenizer_class(arguments.tokenizer).train("", given["vocab_size"])  # says why it is too small
    if problems:
        raise ConfigError(problems)
    for name in given.keys() - _with_effect(given, arguments.tokenizer).keys():
        raise TextError(f"--{name} has no effect with --tokenizer {arguments.tokenizer}: leave it out")
    if arguments.processes is not None:
        check_processes(arguments.processes)
    return given


def _with_effect(settings: dict[str, Any], tokenizer: str) -> dict[str, Any]:
    """Those that matter to this type of tokenizer."""
    fields = describe(DataConfig)
    return {name: value for name, value in settings.items() if is_active(fields[name], {"tokenizer_type": tokenizer})}


if __name__ == "__main__":
    sys.exit(main())
