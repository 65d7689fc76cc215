"""Look inside a checkpoint from a terminal; the Look inside page in text.

    python -m interpret heads CHECKPOINT --text "The king"     what each attention head does, in four scores
    python -m interpret lens CHECKPOINT --text "The king"      what the model would say after each layer
    python -m interpret next CHECKPOINT --text "The king"      the likeliest next tokens
    python -m interpret importance CHECKPOINT --text "…"       what each head, MLP and layer is worth
    python -m interpret compare CHECKPOINT CHECKPOINT          which of two is better, and is it real?

CHECKPOINT is a run (folder, id or name: its best checkpoint), a step folder, or the weights file in one. With --json
the answer is one JSON object, else a table; checkpoint and text are named in both. Exit status: 0 done, 2 wrong usage
or input, 1 anything else.
"""

import argparse
import io
import json
import os
import sys
from typing import Any

from config.errors import ConfigError
from config.flags import SentenceParser, add_flag
from interpret import compare_command
from runs import machine
from runs.checkpoints import find_checkpoint
from runs.folder import RunFolder

EXIT_DONE, EXIT_WRONG_INPUT = 0, 2
DEFAULT_TEXT = "The king has a promise to keep. The king"


def build_parser() -> argparse.ArgumentParser:
    """All commands and flags."""
    parser = SentenceParser(prog="python -m interpret", description="Look inside a checkpoint.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    helps = {
        "heads": "previous-token, first-token, entropy and induction score of every attention head",
        "lens": "likeliest next token after every layer, its probability, and the rank of the one that comes",
        "next": "likeliest tokens after the text",
        "importance": "change of the loss without each head, attention, MLP and layer",
    }
    for name, help_line in helps.items():
        command = commands.add_parser(name, help=help_line, description=help_line)
        command.add_argument("checkpoint", metavar="CHECKPOINT", help="A run, a step folder, or a weights file.")
        add_flag(command, "text", metavar="TEXT", help=f'The text to look at. Default "{DEFAULT_TEXT}".')
        add_flag(command, "json", action="store_true", help="One JSON object instead of a table.")
        if name == "importance":
            words = "What stands for a part: its mean over the text, or nothing. Default mean."
            add_flag(command, "replacement", choices=("mean", "zero"), help=words)
            words = "Switch these off at once: 2.mlp, 2.attention, 2.layer, or 2.1 for head 1 of layer 2."
            add_flag(command, "without", nargs="+", metavar="PART", help=words)
    compare_command.add_arguments(commands.add_parser("compare", help="which of two is better, and is it real?"))
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    machine.share_cores()
    given = vars(build_parser().parse_args(argv))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # what a terminal cannot show becomes a question mark
    try:
        print(compare_command.answer(given) if given["command"] == "compare" else answer(given), flush=True)
    except ConfigError as error:
        return _refuse("; ".join(problem.message for problem in error.problems))
    except ValueError as error:  # checkpoint, run or text, or a question that this model cannot answer
        return _refuse(str(error))
    except BrokenPipeError:
        # Python flushes stdout once more when it exits, and would complain then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return EXIT_DONE


def answer(given: dict[str, Any]) -> str:
    """What stands on stdout.

    Raises:
        ValueError: in a sentence, what cannot be done.
    """
    folder = find_checkpoint(given["checkpoint"], say=_tell)

    from interpret import report  # torch, which takes seconds to import: not before a wrong checkpoint is refused
    from interpret.subject import open_subject

    subject = open_subject(folder)
    text = subject.read(given.get("text", DEFAULT_TEXT))
    if text.left_out:
        _tell(f"{text.left_out:,} tokens at the end are left out: the model sees {len(text.tokens):,} at once")
    asked: dict[str, Any] = {"heads": report.heads, "lens": report.lens, "next": report.following}
    if given["command"] == "importance":
        replacement, switched = given.get("replacement", "mean"), given.get("without", ())
        data, rows = report.worth(subject, text, replacement, switched)
    else:
        data, rows = asked[given["command"]](subject, text)
    run = RunFolder(folder.parent)
    about = {"checkpoint": str(folder), "run": run.read_label().name, "step": int(folder.name.removeprefix("step_"))}
    if "json" in given:
        return json.dumps(about | {"tokens": list(text.names)} | data)
    return f"{about['run']}, step {about['step']:,}, {len(text.names):,} tokens\n\n{report.aligned(rows)}"


def _tell(line: str) -> None:
    print(f"python -m interpret: {line}", file=sys.stderr, flush=True)


def _refuse(sentence: str) -> int:
    _tell(sentence)
    return EXIT_WRONG_INPUT


if __name__ == "__main__":
    sys.exit(main())
