"""Runs as comma-separated values, for a spreadsheet or a notebook: one line a run, or one line a measurement."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence

from runs.comparison import find_differences, model_name
from runs.metrics import MetricsReader
from runs.summaries import Summary, change_sentence

# A spreadsheet takes a cell that begins so for a formula, and a name is text from outside.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
STEP_COLUMNS = (
    "step", "tokens_seen", "elapsed_seconds", "train_loss_nats", "learning_rate", "grad_norm", "tokens_per_second",
)  # fmt: skip


def summaries_csv(summaries: Sequence[Summary], reference: Summary) -> str:
    """A line for each run: what it is, how good it got, and every setting in which not all of them are alike."""
    readable = [summary for summary in summaries if summary.config]
    differences = find_differences([summary.config for summary in readable if summary.config])
    words = {summary.run: [row.words[index] for row in differences] for index, summary in enumerate(readable)}
    header = [
        "run", "name", "note", "state", "model", "what_changed", "parameters", "tokens_seen", "training_flops",
        "elapsed_seconds", "best_val_loss_nats", "best_val_bits_per_byte", "tokens_per_second", "size_bytes",
        *(f"{row.section}: {row.title}" for row in differences),
    ]  # fmt: skip
    rows = [
        [
            summary.run.id, summary.label.name, summary.label.note, summary.status.state,
            model_name(summary.config) if summary.config else "", change_sentence(reference, summary),
            summary.parameters, summary.tokens_seen, summary.flops, summary.elapsed_seconds, summary.best_loss_nats,
            summary.best_bits_per_byte, summary.tokens_per_second, summary.size_bytes,
            *words.get(summary.run, [""] * len(differences)),
        ]
        for summary in summaries
    ]  # fmt: skip
    return _table(header, rows)


def curves_csv(summaries: Iterable[Summary]) -> str:
    """Every logged step and every evaluation of these runs, whole: nothing is thinned."""
    header = ["run", "name", *STEP_COLUMNS, "val_loss_nats", "val_bits_per_byte"]
    rows: list[list[object]] = []
    for summary in summaries:
        reader = MetricsReader(summary.run.metrics_path)
        reader.refresh(force=True)
        first = [summary.run.id, summary.label.name]
        columns = reader.columns(*STEP_COLUMNS)
        rows += [[*first, *values, None, None] for values in zip(*columns.values(), strict=True)]
        rows += [
            [*first, row.get("step"), *[None] * 6, row["val_loss_nats"], row.get("val_bits_per_byte")]
            for row in reader.evaluations
        ]
    return _table(header, rows)


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return file.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, str) and value.startswith(FORMULA_STARTS):
        return f"'{value}"
    if isinstance(value, float):
        return "" if math.isnan(value) else int(value) if value.is_integer() else value
    return "" if value is None else value
