"""`python -m ui report RUN RUN … --html FILE`: the report that Compare offers, from a terminal."""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from config.errors import RunError
from config.flags import SentenceParser
from runs.compare_command import read_named
from runs.files import write_atomically
from runs.folder import CHECKPOINTS


def make_parser() -> argparse.ArgumentParser:
    """The flags."""
    parser = SentenceParser(prog="python -m ui", description="Compare runs on one HTML page that opens anywhere.")
    parser.add_argument("action", choices=("report",))
    parser.add_argument("runs", nargs="+", metavar="RUN", help="id, name or path of a run; the first is the reference")
    parser.add_argument("--html", type=Path, required=True, metavar="FILE", help="the page to write (5 MB)")
    parser.add_argument(
        "--checkpoints", type=Path, default=CHECKPOINTS, help="folder of the runs (default: %(default)s)"
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page and print its path. Returns 0 (done), 2 (wrong usage or input) or 1 (anything else)."""
    options = make_parser().parse_args(arguments)

    from ui.overlay import MOST_DRAWN  # streamlit takes a second
    from ui.picked import Picked
    from ui.report import report

    try:
        if len(options.runs) > MOST_DRAWN:
            raise RunError(f"A report has room for {MOST_DRAWN} runs, not {len(options.runs)}: name fewer.")
        summaries = read_named(options.checkpoints, options.runs)
        write_atomically(options.html, report(Picked(summaries, summaries, summaries[0])))
    except RunError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{options.html} cannot be written: {error.strerror or error}.", file=sys.stderr)
        return 1
    print(options.html)
    return 0


if __name__ == "__main__":
    logging.disable(logging.WARNING)  # streamlit would remark that there is no server
    sys.exit(main())
