"""Every run in a line: how large, how far, how good, how fast. Cheap enough for hundreds of runs on one page.

Of a metrics file only the end is read, back to the last step and the last evaluation, and only when it has changed.
What cannot change any more (the configuration, the vocabulary) is read once.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config.errors import RunError
from config.model_config import ModelConfig
from config.run_config import RunConfig
from config.sizes import count_parameters, flops_per_token
from runs.comparison import model_name, what_changed
from runs.files import open_regular, read_json
from runs.folder import RunFolder
from runs.following import parse_lines, to_number
from runs.names import Label
from runs.shared_files import size_on_disk
from runs.state import RunStatus, read_status

EVALUATION, STEP = b'"val_loss_nats"', b'"train_loss_nats"'
CHUNK_BYTES = 1 << 16
LONGEST_TAIL_BYTES = 1 << 24  # a run that evaluates every 80,000 steps; of a rarer one the bits per byte are not known


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What a list of runs shows of one; None where it is not known (yet)."""

    run: RunFolder
    label: Label
    status: RunStatus
    config: RunConfig | None
    """None where config.json cannot be used; the status says why."""
    model: ModelConfig | None
    """With the vocabulary of the run's tokenizer."""
    corpus: str | None
    """SHA-256 of the text it learns from."""
    group: str | None
    """Name of the race or of the scaling study that it was queued with."""
    tokens_seen: int = 0
    elapsed_seconds: float = 0.0
    """Of training alone, without evaluation, sampling and saving."""
    best_loss_nats: float | None = None
    """Lowest validation loss, in nats per token."""
    best_bits_per_byte: float | None = None
    """At the same evaluation."""
    split_bits_per_byte: float | None = None
    """Of the whole validation text after the last step, where the run has scored it."""
    size_bytes: int = 0
    """What deleting the run's folder frees."""

    @property
    def parameters(self) -> int | None:
        """All numbers of the model; adapters, which are beside it, not counted."""
        return count_parameters(self.model) if self.model else None

    @property
    def flops(self) -> float | None:
        """Floating-point operations of the training so far, by `config.sizes.flops_per_token`."""
        if self.model is None or self.config is None:
            return None
        return float(self.tokens_seen) * flops_per_token(self.model, frozen=self.config.lora.is_on)

    @property
    def tokens_per_second(self) -> float | None:
        """Mean over the training so far."""
        return self.tokens_seen / self.elapsed_seconds if self.elapsed_seconds > 0 else None


class SummaryBook:
    """The summaries of all runs, kept up to date. One object may be shared by all sessions: it is thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._digests: dict[RunFolder, _Digest] = {}

    def read(self, runs: Sequence[RunFolder]) -> list[Summary]:
        """A summary of each, in their order; what is not in `runs` is forgotten."""
        with self._lock:
            known = self._digests
            self._digests = {run: known.get(run) or _Digest(run) for run in runs}
            return [self._digests[run].summary() for run in runs]


class _Digest:
    """What is known of one run."""

    def __init__(self, run: RunFolder) -> None:
        self._run = run
        self._config: RunConfig | None = None
        self._group: str | None = None
        self._model: ModelConfig | None = None
        self._corpus: str | None = None
        self._measured: tuple[int, str] | None = None
        self._size_bytes = 0
        self._metrics_seen: tuple[int, int] | None = None
        self._step: dict[str, float] = {}
        self._evaluation: dict[str, float] = {}

    def summary(self) -> Summary:
        status = read_status(self._run)
        self._read_metrics()
        self._read_what_stays()
        loss = status.best_val_loss_nats
        bits = (loss or math.nan) * self._bits_per_nat()
        return Summary(
            run=self._run, label=self._run.read_label(), status=status, config=self._config, model=self._model,
            corpus=self._corpus, group=self._group,
            tokens_seen=int(self._step.get("tokens_seen", 0)), elapsed_seconds=self._step.get("elapsed_seconds", 0.0),
            best_loss_nats=loss, best_bits_per_byte=bits if math.isfinite(bits) else None,
            split_bits_per_byte=self._evaluation.get("val_split_bits_per_byte"),
            size_bytes=self._size(status),
        )  # fmt: skip

    def _bits_per_nat(self) -> float:
        """Bits per byte for each nat per token: the same at every evaluation, because all score the same windows."""
        loss = self._evaluation.get("val_loss_nats") or math.nan
        return self._evaluation.get("val_bits_per_byte", math.nan) / loss

    def _read_metrics(self) -> None:
        """Last step and last evaluation, if the file is not the one that was read before."""
        try:
            found = self._run.metrics_path.stat()
            if self._metrics_seen != (seen := (found.st_size, found.st_mtime_ns)):
                self._step, self._evaluation = _read_newest(self._run.metrics_path)
                self._metrics_seen = seen
        except OSError:  # not written yet, or the run was deleted
            self._metrics_seen, self._step, self._evaluation = None, {}, {}

    def _read_what_stays(self) -> None:
        """Files that are written once: looked for until they are there."""
        try:
            if self._config is None:
                self._config = self._run.read_config()
                self._group = read_group(self._run)
            if self._model is None and self._run.data_path.exists():
                self._model = self._run.read_model_config(self._config)
                corpus = self._run.read_data().get("corpus_sha256")
                self._corpus = corpus if isinstance(corpus, str) else None
        except RunError:  # `read_status` says it in words
            return

    def _size(self, status: RunStatus) -> int:
        """Measured again when a checkpoint came or went, or the state changed."""
        try:
            seen = (self._run.path.stat().st_mtime_ns, status.state)
        except OSError:  # deleted in another tab
            return 0
        if seen != self._measured:
            self._measured, self._size_bytes = seen, size_on_disk(self._run.path)
        return self._size_bytes


def change_sentence(reference: Summary, summary: Summary) -> str:
    """What this run does differently from the reference, or why that cannot be said."""
    if summary.run == reference.run:
        return "the reference"
    if summary.config is None:
        return "its configuration cannot be read"
    if reference.config is None:
        return model_name(summary.config)
    sentence = what_changed(reference.config, summary.config)
    other_text = summary.corpus and reference.corpus and summary.corpus != reference.corpus
    if other_text and summary.config.data == reference.config.data:
        sentence += ", and the text itself is another"
    return sentence


def _read_newest(path: Path) -> tuple[dict[str, float], dict[str, float]]:
    """The last whole lines of a step and of an evaluation, as numbers; what is not there is empty.

    Raises:
        OSError: the file cannot be read.
    """
    tail, found = b"", {STEP: b"", EVALUATION: b""}
    with open_regular(path) as file:
        start = file.seek(0, os.SEEK_END)
        while start > 0 and not all(found.values()) and len(tail) < LONGEST_TAIL_BYTES:
            size = min(CHUNK_BYTES, start)
            start -= size
            file.seek(start)
            tail = file.read(size) + tail
            for word in found:
                found[word] = found[word] or _last_line_with(word, tail)
    step, evaluation = (parse_lines([line]) if line else [] for line in found.values())
    return _numbers(step), _numbers(evaluation)


def _last_line_with(word: bytes, data: bytes) -> bytes:
    """The last line that contains `word` and is whole; empty where there is none."""
    end = data.rfind(b"\n")
    at = data.rfind(word, 0, max(end, 0))
    begin = data.rfind(b"\n", 0, max(at, 0)) + 1  # 0: the line may begin before what was read, and is no JSON then
    return data[begin : data.index(b"\n", at)] if at >= 0 else b""


def _numbers(rows: list[dict[str, Any]]) -> dict[str, float]:
    return {name: to_number(value) for row in rows for name, value in row.items()}


def read_group(run: RunFolder) -> str | None:
    """What origin.json says of the race or the scaling study that the run belongs to."""
    try:
        origin = read_json(run.origin_path)
    except RunError:
        return None
    group = origin.get("group") if isinstance(origin, dict) else None
    return group if isinstance(group, str) else None
