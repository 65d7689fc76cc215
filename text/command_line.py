"""Train, look at and use a tokenizer from a terminal: `python -m text` and, for BPE alone, `python -m text.byte_pair`.

What was asked for goes to stdout, everything else to stderr. Exit status: 0 done, 2 wrong usage or input.
"""

import argparse
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from config.data_config import DataConfig
from config.errors import CheckpointError, TextError
from config.fields import describe, is_active
from config.flags import add_flag
from text.blocks import Block
from text.documents import MARKED, Changes, Documents
from text.processes import check_processes, useful_processes
from text.tokenizer import Tokenizer
from text.tokenizer_types import LEARNED, load_tokenizer, train_tokenizer
from text.words import PATTERNS

EXIT_DONE, EXIT_WRONG_INPUT = 0, 2
TRAINING_DEFAULTS = {
    **{name: getattr(DataConfig(), name) for name in ("vocab_size", "bpe_pattern", "sentencepiece_model", "encoding")},
    "special_tokens": (),
    "min_frequency": 2,
    "processes": 0,  # as many as help
}


def main(program: str, argv: list[str] | None = None, tokenizer_type: str | None = None) -> int:
    """Run the command line; returns the exit status.

    Args:
        tokenizer_type: The only type that `train` knows, or None to have it chosen.
    """
    arguments = build_parser(program, tokenizer_type).parse_args(argv)
    try:
        arguments.act(arguments)
        sys.stdout.flush()  # here, so that a closed pipe is noticed inside of the try
    except (TextError, CheckpointError) as error:
        print(f"{program}: {error}", file=sys.stderr)
        return EXIT_WRONG_INPUT
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return EXIT_DONE


def build_parser(program: str, tokenizer_type: str | None) -> argparse.ArgumentParser:
    """All commands and flags."""
    parser = argparse.ArgumentParser(prog=program, description=__doc__.partition("\n")[0], allow_abbrev=False)
    commands = parser.add_subparsers(required=True, metavar="train|inspect|encode|decode")
    training = commands.add_parser("train", help="learn a tokenizer from a text", allow_abbrev=False)
    training.set_defaults(act=train, tokenizer_type=tokenizer_type)
    _add_training_flags(training, tokenizer_type)
    for act, help_line in ((inspect, "show what is in a tokenizer"), (encode, "text to ids"), (decode, "ids to text")):
        command = commands.add_parser(act.__name__, help=help_line, allow_abbrev=False)
        command.add_argument("folder", type=Path, help="where the tokenizer was saved, or the folder of a run")
        command.set_defaults(act=act, tokens=20, special="text", unknown="error")
        if act is inspect:
            add_flag(command, "tokens", type=int, metavar="N", help="How many tokens to show. Default 20.")
        if act is encode:
            command.add_argument("text", nargs="?", help="what to encode; without it, stdin")
            add_flag(command, "special", choices=("text", "token"), help="What <|endoftext|> in it is. Default text.")
            add_flag(command, "unknown", choices=("error", "skip"), help="Characters without a token. Default error.")
        if act is decode:
            command.add_argument("ids", nargs="*", help="token ids; without them, stdin")
    return parser


def train(arguments: argparse.Namespace) -> None:
    """Learn a tokenizer from all of a text, read block by block, and save it.

    Raises:
        TextError: the text cannot be read, or does not allow this vocabulary.
    """
    if "processes" in arguments:
        check_processes(arguments.processes)
    _complete_settings(arguments)
    documents, changes = Documents(arguments.file, arguments.encoding), Changes()
    blocks = _not_blank(documents.blocks(changes), arguments.file)
    start = time.perf_counter()
    tokenizer: Tokenizer
    if arguments.tokenizer_type == "bpe":
        from text.byte_pair import BytePairTokenizer

        tokenizer = BytePairTokenizer.train(
            blocks,
            arguments.vocab_size,
            pattern=arguments.bpe_pattern,
            special_tokens=arguments.special_tokens,
            min_frequency=arguments.min_frequency,
            processes=arguments.processes or useful_processes(documents.size_on_disk()),
        )
    else:
        tokenizer = train_tokenizer(
            arguments.tokenizer_type,
            "".join(blocks),
            arguments.vocab_size,
            val_fraction=0,
            sentencepiece_model=arguments.sentencepiece_model,
            special_tokens=arguments.special_tokens,
            beat=lambda: None,  # so that Ctrl-C need not wait for SentencePiece
        )
    changes.names.pop(MARKED, None)  # what such a mark is, is for --special_tokens to say
    for sentence in changes.sentences():
        print(sentence, file=sys.stderr)
    tokenizer.save(arguments.out)
    print(
        f"{tokenizer.vocab_size:,} tokens in {time.perf_counter() - start:.1f} s, in {arguments.out}", file=sys.stderr
    )
    print(arguments.out)


def inspect(arguments: argparse.Namespace) -> None:
    """Print what a tokenizer is made of, and its first tokens that were learned."""
    tokenizer = load(arguments.folder)
    print(f"type            {tokenizer.type}\nvocab_size      {tokenizer.vocab_size:,}")
    for name in ("pattern", "model_file"):
        if value := tokenizer.settings().get(name):
            print(f"{name:<15} {value}")
    for token, number in tokenizer.special_ids.items():
        print(f"special token   {number:,} {token}")
    print(f"content_hash    {tokenizer.content_hash()}")
    longest = sorted(range(tokenizer.vocab_size), key=lambda token: -len(tokenizer.token_bytes[token]))
    print("longest tokens ", " ".join(tokenizer.token_text(token) for token in longest[: min(arguments.tokens, 10)]))
    for line in _token_lines(tokenizer, arguments.tokens):
        print(line)


def encode(arguments: argparse.Namespace) -> None:
    """Print the ids of a text on one line."""
    tokenizer = load(arguments.folder)
    text = arguments.text if arguments.text is not None else _read_stdin()
    print(*tokenizer.encode(text, unknown=arguments.unknown, special=arguments.special))


def decode(arguments: argparse.Namespace) -> None:
    """Write the text of ids, byte for byte.

    Raises:
        TextError: a word is no token of the vocabulary.
    """
    words = arguments.ids or _read_stdin().split()
    for word in words:
        if not re.fullmatch(r"-?\d{1,20}", word, re.ASCII):
            raise TextError(f"{word[:40]!r} is not a token id: give whole numbers with spaces between them")
    ids = [int(word) for word in words]
    sys.stdout.buffer.write(load(arguments.folder).decode_bytes(ids))


def load(folder: Path) -> Tokenizer:
    """The tokenizer in a folder, or in the folder of a run.

    Raises:
        CheckpointError: there is none, or it is damaged.
    """
    inside = folder / "tokenizer"
    return load_tokenizer(inside if inside.is_dir() else folder)


def _add_training_flags(parser: argparse.ArgumentParser, tokenizer_type: str | None) -> None:
    parser.add_argument("file", type=Path, help="a .txt, .txt.gz or .jsonl file, or a folder of them")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where to save the tokenizer")
    if tokenizer_type is None:
        add_flag(parser, "tokenizer_type", choices=LEARNED, required=True, help="Which kind.")
        add_flag(
            parser, "sentencepiece_model", choices=("bpe", "unigram"), help="How SentencePiece learns. Default bpe."
        )
    add_flag(parser, "vocab_size", type=int, metavar="N", help="Tokens of bpe or sentencepiece. Default 1,024.")
    add_flag(parser, "encoding", choices=("utf-8", "latin-1"), help="Of the file. Default utf-8.")
    add_flag(parser, "special_tokens", nargs="+", metavar="T", help="Such as '<|endoftext|>'. Default none.")
    bpe = parser.add_argument_group("bpe")
    add_flag(bpe, "bpe_pattern", choices=tuple(PATTERNS), help="How text is cut into words. Default gpt2.")
    add_flag(bpe, "min_frequency", type=int, metavar="N", help="Merge no pair that occurs less often. Default 2.")
    add_flag(bpe, "processes", type=int, metavar="N", help="That count words. Default: as many as help.")


def _complete_settings(arguments: argparse.Namespace) -> None:
    """Take the defaults of what was not given, and refuse what was given in vain.

    Raises:
        TextError: a setting has no effect on this type of tokenizer.
    """
    kind, fields = arguments.tokenizer_type, describe(DataConfig)
    for name, default in TRAINING_DEFAULTS.items():
        has_effect = kind == "bpe" or (name == "special_tokens" and kind != "gpt2")
        if name in fields:
            has_effect = is_active(fields[name], {"tokenizer_type": kind})
        if hasattr(arguments, name) and not has_effect:
            raise TextError(f"--{name} has no effect on a {kind} tokenizer: leave it out")
        if not hasattr(arguments, name):
            setattr(arguments, name, default)


def _not_blank(blocks: Iterable[Block], path: Path) -> Iterator[str]:
    """The text of the blocks.

    Raises:
        TextError: at their end, if there was nothing but white space in all of them.
    """
    blank = True
    for block in blocks:
        blank = blank and not block.text.strip()
        yield block.text
    if blank:
        raise TextError(f"{path} is empty: give a file with text in it")


def _token_lines(tokenizer: Tokenizer, n_tokens: int) -> Iterable[str]:
    """The first merges with their frequencies where they are known, else the first tokens."""
    from text.byte_pair import BytePairTokenizer

    if not isinstance(tokenizer, BytePairTokenizer) or not tokenizer.merge_counts:
        for token in range(min(n_tokens, tokenizer.vocab_size)):
            yield f"{token:>8,}  {tokenizer.token_text(token)}"
        return
    ids = {content: token for token, content in enumerate(tokenizer.token_bytes)}
    for number, step in enumerate(tokenizer.merges_with_counts()[:n_tokens], start=256):
        left, right = (tokenizer.token_text(ids[part]) for part in (step.left, step.right))
        yield f"{number:>8,}  {left} + {right} = {tokenizer.token_text(number)}  {step.frequency:,} times"


def _read_stdin() -> str:
    content = sys.stdin.buffer.read()
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        place = error.start
        raise TextError(f"the text is not UTF-8: byte {place + 1:,} is 0x{content[place]:02x}") from None
