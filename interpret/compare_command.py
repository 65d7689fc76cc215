"""`python -m interpret compare CHECKPOINT CHECKPOINT`: which of two checkpoints is better, and is it real?"""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from config.errors import CheckpointError
from config.flags import add_flag
from runs.checkpoints import find_checkpoint
from runs.folder import CHECKPOINTS, RunFolder

SECONDS = 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `compare`."""
    parser.description = "Score two checkpoints on one validation text, and say whether their difference is real."
    parser.add_argument("first", metavar="CHECKPOINT", help="A run (its best checkpoint) or a step folder.")
    parser.add_argument("second", metavar="CHECKPOINT", help="The one that is compared with it.")
    add_flag(parser, "text_file", metavar="F", help="Text to score them on. Default what both kept for validation.")
    add_flag(parser, "seconds", type=float, help=f"Time for both together. Default {SECONDS:g}.")
    add_flag(parser, "json", action="store_true", help="One JSON object instead of sentences.")
    add_flag(parser, "checkpoints", metavar="DIR", help="Folder of the runs. Default checkpoints.")


def answer(given: dict[str, Any]) -> str:
    """What stands on stdout; progress goes to stderr.

    Raises:
        CheckpointError, RunError, TextError: in a sentence, what cannot be done.
    """
    root = Path(given.get("checkpoints", CHECKPOINTS))
    first, second = (find_checkpoint(given[name], root) for name in ("first", "second"))
    if first == second:
        raise CheckpointError("Both are the same checkpoint: there is nothing to compare.")

    from interpret.common_text import Text
    from interpret.compare_checkpoints import compare_checkpoints
    from text.corpus import read_text

    text = None
    if "text_file" in given:
        corpus = read_text(given["text_file"])
        text = Text(corpus.text.encode(), corpus.name)
    found = compare_checkpoints(first, second, text, given.get("seconds", SECONDS), _show_progress)
    assert found is not None, "nobody stops it here"
    names = [f"{RunFolder(path.parent).read_label().name} (step {int(path.name[5:]):,})" for path in (first, second)]
    if "json" in given:
        record = {"first": str(first), "second": str(second), "losses": found.losses, "text": found.text.name}
        verdict = asdict(found.difference) | {"real": found.difference.real}
        return json.dumps(record | verdict | {"scored_bytes": found.scored_bytes, "note": found.text.note})
    unit = found.difference.unit
    lines = [f"{name}: {loss:.4f} {unit}" for name, loss in zip(names, found.losses, strict=True)]
    lines += [f"on {found.coverage}, in {found.seconds:.0f} s", found.difference.sentence(*names)]
    return "\n".join([*lines, found.text.note]).rstrip()


def _show_progress(share: float) -> bool:
    if sys.stderr.isatty():
        print(f"\rscoring {share:.0%} ", end="\n" if share >= 1 else "", file=sys.stderr, flush=True)
    return True
