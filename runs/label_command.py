"""`python -m runs label RUN`: a person's words about a run, as the Compare page writes them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from config.flags import SentenceParser
from runs.folder import CHECKPOINTS, find_run
from runs.names import COLORS


def make_parser() -> argparse.ArgumentParser:
    """The flags of `label`."""
    parser = SentenceParser(
        prog="python -m runs label", description="Name, note, star and colour of a run: shows them, or changes them."
    )
    parser.add_argument("run", metavar="RUN", help="id, name or path of a run, or the beginning of one")
    parser.add_argument("--name", help="what to call it; empty brings back the friendly name")
    parser.add_argument("--note", help="what to remember of it; empty removes the note")
    parser.add_argument("--star", choices=("on", "off"), help="mark it as one to find again")
    parser.add_argument("--color", type=int, choices=range(COLORS), help="its colour on every page")
    parser.add_argument(
        "--checkpoints", type=Path, default=CHECKPOINTS, help="folder of the runs (default: %(default)s)"
    )
    return parser


def label(arguments: Sequence[str]) -> None:
    """Change what is given and print the label.

    Raises:
        RunError: no run is meant, or more than one.
        OSError: the label cannot be written.
    """
    options = make_parser().parse_args(arguments)
    run = find_run(options.checkpoints, options.run)
    given = {"name": options.name, "note": options.note, "color": options.color}
    if options.star:
        given["star"] = options.star == "on"
    changes = {field: value for field, value in given.items() if value is not None}
    found = run.write_label(**changes) if changes else run.read_label()
    print(f"{run.id}: {found.name}{' ★' if found.star else ''}, colour {found.color}")
    if found.note:
        print(found.note)
