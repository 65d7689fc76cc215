"""`python -m runs compare RUN RUN …`: what the Compare page shows, as tables in a terminal or as files."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from config.errors import RunError
from config.flags import SentenceParser
from runs import export
from runs.comparison import find_differences
from runs.files import write_atomically
from runs.folder import CHECKPOINTS, find_run
from runs.metrics import MetricsReader
from runs.race import compare_batches
from runs.summaries import Summary, SummaryBook, change_sentence


def make_parser() -> argparse.ArgumentParser:
    """The flags of `compare`."""
    parser = SentenceParser(
        prog="python -m runs compare",
        description="Compare runs: numbers, settings that differ, what changed; the first one is the reference.",
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help="id, name or path of a run, or the beginning of one")
    parser.add_argument(
        "--checkpoints", type=Path, default=CHECKPOINTS, help="folder of the runs (default: %(default)s)"
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the table, with all differing settings")
    parser.add_argument("--curves", type=Path, metavar="FILE", help="write every step and evaluation as CSV")
    return parser


def compare(arguments: Sequence[str]) -> None:
    """Print the comparison on stdout.

    Raises:
        RunError: no run is meant by a word, or more than one; a run is named twice.
        OSError: a file cannot be written.
    """
    options = make_parser().parse_args(arguments)
    summaries = read_named(options.checkpoints, options.runs)
    print(aligned(_numbers(summaries)))
    print()
    for summary in summaries:
        print(f"{summary.label.name}: {change_sentence(summaries[0], summary)}{_verdict(summaries[0], summary)}")
    if sentence := _batches(summaries):
        print(f"\n{sentence}")
    differences = find_differences([summary.config for summary in summaries if summary.config])
    if differences:
        names = [summary.label.name for summary in summaries if summary.config]
        print(f"\n{aligned([['SETTING', *names], *([row.title, *row.words] for row in differences)])}")
    if options.csv:
        write_atomically(options.csv, export.summaries_csv(summaries, summaries[0]))
    if options.curves:
        write_atomically(options.curves, export.curves_csv(summaries))


def read_named(checkpoints: Path, words: Sequence[str]) -> list[Summary]:
    """The summaries of the runs that a person names, in that order.

    Raises:
        RunError: no run is meant by a word, or more than one; a run is named twice.
    """
    runs = [find_run(checkpoints, text) for text in words]
    if len(set(runs)) < len(runs):
        raise RunError("A run is named twice: name each one once.")
    return SummaryBook().read(runs)


def _numbers(summaries: Sequence[Summary]) -> list[list[str]]:
    header = ["NAME", "STATE", "PARAMETERS", "TOKENS", "BEST LOSS", "BITS/BYTE", "TOKENS/S", "MB"]
    rows = [
        [
            summary.label.name, summary.status.state, _shown(summary.parameters, ",d"), f"{summary.tokens_seen:,}",
            _shown(summary.best_loss_nats, ".4f"), _shown(summary.best_bits_per_byte, ".4f"),
            _shown(summary.tokens_per_second, ",.0f"), f"{summary.size_bytes / 1e6:,.1f}",
        ]
        for summary in summaries
    ]  # fmt: skip
    return [header, *rows]


def _shown(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _verdict(reference: Summary, summary: Summary) -> str:
    """How much better or worse its best validation is; in bits per byte, which compare between tokenizers."""
    if summary.run == reference.run or summary.best_bits_per_byte is None or reference.best_bits_per_byte is None:
        return ""
    less = reference.best_bits_per_byte - summary.best_bits_per_byte
    return f"; {abs(less):.4f} bits per byte {'better' if less > 0 else 'worse'} at its best" if less else ""


def _batches(summaries: Sequence[Summary]) -> str:
    readers = [MetricsReader(summary.run.metrics_path) for summary in summaries]
    for reader in readers:
        reader.refresh(force=True)
    return compare_batches(readers).sentence if len(readers) > 1 else ""


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows in columns: the first to the left, numbers to the right of theirs."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(
            cell.ljust(width) if at == 0 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)
