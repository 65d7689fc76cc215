"""Races: several configurations trained one after the other on the very same batches, to be drawn on one chart.

The batch of a step is a pure function of (seed, step), batch size, context and token file (text/batches.py). So runs
that agree in these read the same batches in the same order, and what is left of a difference between their curves is
the configuration. Every run notes a hash of each batch that it read; `compare_batches` shows that they are equal.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from config.data_config import DataConfig
from config.errors import ConfigError, RunError
from config.inheritance import same_text, same_tokenizer
from config.presets import changed_fields, load_preset, size_fields
from config.run_config import RunConfig
from config.sizes import count_parameters, memory_problem, training_memory
from runs import launch, machine
from runs.comparison import find_differences
from runs.files import read_json
from runs.folder import RunFolder, create_run
from runs.metrics import MetricsReader
from runs.names import friendly_name

FEWEST, MOST = 2, 4
# What decides which tokens a step reads, how many steps there are, and on what they are scored.
SHARED = ("seed", "batch_size", "max_steps", "epochs", "eval_interval", "eval_iters")
# Whoever has one of these cuts the text at the same places, though two may number the same characters otherwise.
# Others are learned, from one text like this, from another like that.
SAME_CUTS = ("character", "byte", "gpt2")


@dataclass(frozen=True)
class Entry:
    """One configuration of a race, and what had to be changed in it, as sentences."""

    config: RunConfig
    notes: tuple[str, ...] = ()


def with_steps(config: RunConfig, steps: int | None) -> RunConfig:
    """The same configuration for so many steps; None leaves it as it is.

    Raises:
        ConfigError: nothing is trained for so many steps.
    """
    if steps is None:
        return config
    warmup = config.training.warmup_steps
    shorter = None if warmup is None else min(warmup, max(0, steps))
    return replace(config, training=config.training.replace(max_steps=steps, epochs=None, warmup_steps=shorter))


def line_up(configs: Sequence[RunConfig]) -> list[Entry]:
    """The same configurations on the text, seed, batches and steps of the first.

    Raises:
        RunError: fewer than two or more than four, one that goes on in the middle of another run, or tokenizers that
            cut the text differently.
        ConfigError: one of them cannot be trained on these batches.
    """
    if not FEWEST <= len(configs) <= MOST:
        raise RunError(f"A race has {FEWEST} to {MOST} configurations, not {len(configs)}.")
    for parent in (config.parent for config in configs):
        if parent and parent.carried == "all":
            raise RunError(f"A race begins at step 0; one of these goes on at step {parent.step:,} of {parent.run}.")
    entries = [Entry(configs[0]), *(_line_up_with(configs[0], config) for config in configs[1:])]
    _check_tokenizers([entry.config for entry in entries])
    return entries


def _check_tokenizers(configs: Sequence[RunConfig]) -> None:
    """A fine-tuned model keeps its parent's tokenizer: with another one neither batches nor losses per token are alike.

    Raises:
        RunError: they are not the same, or a parent is gone.
    """
    data = configs[0].data
    if data.tokenizer_type in SAME_CUTS:
        return
    parents = [_keeps_from(config, data) for config in configs]
    kept = [parent for parent in parents if parent]
    records = [read_json(parent.tokenizer_path / "tokenizer.json") for parent in kept]
    alike = all(record == records[0] for record in records)
    if None in parents:  # that one learns from the text of the race
        alike = all(_learned_from(parent, data) for parent in kept)
    if not alike:
        whose = [f"the tokenizer of {parent.id}" if parent else "one learned from this text" for parent in parents]
        raise RunError(
            f"These cut the text into different tokens ({', '.join(dict.fromkeys(whose))}), so they cannot read the "
            "same batches, and their losses in nats per token say nothing of each other: train them apart and compare "
            "bits per byte."
        )


def _keeps_from(config: RunConfig, data: DataConfig) -> RunFolder | None:
    """The parent whose tokenizer is kept; None where one is learned."""
    if config.parent is None:
        return None
    parent = RunFolder(Path(config.parent.path).parent)
    return parent if same_tokenizer(data, parent.read_config().data) else None


def _learned_from(parent: RunFolder, data: DataConfig) -> bool:
    config = parent.read_config()
    return config.parent is None and same_text(config.data, data)


def _line_up_with(first: RunConfig, config: RunConfig) -> Entry:
    if config.parent and config.model.n_ctx != first.model.n_ctx:
        raise RunError(
            f"A fine-tuned model keeps the context of its checkpoint, {config.model.n_ctx:,}: it cannot race with "
            f"{first.model.n_ctx:,}."
        )
    shared = {name: getattr(first.training, name) for name in SHARED}
    if first.training.batch_size % config.training.grad_accumulation:
        shared["grad_accumulation"] = first.training.grad_accumulation
    lined_up = replace(
        config,
        model=config.model.replace(n_ctx=first.model.n_ctx),
        data=first.data,
        training=config.training.replace(**shared),
    )
    changed = find_differences([lined_up, config])
    return Entry(lined_up, tuple(f"{row.title} {row.words[0]} instead of {row.words[1]}" for row in changed))


def at_sizes(config: RunConfig, sizes: Sequence[str]) -> list[Entry]:
    """A preset at several sizes on the same batches, smallest first; the context is the smallest size's.

    What `config` changes in its preset (ALiBi in a LLaMA) is changed at every size; what a size says is not.

    Raises:
        RunError: the configuration has no preset or begins from a checkpoint, or the sizes are too few, too many or
            given twice.
        ConfigError: there is no such size, or it cannot be trained so.
    """
    if config.preset is None or config.size is None:
        raise RunError("Only a preset comes in several sizes: this run has an architecture of its own.")
    if config.parent:
        raise RunError("A fine-tuned model has the size of its checkpoint: several sizes have to begin anew.")
    if len(set(sizes)) != len(sizes):
        raise RunError(f"A size is given twice: {', '.join(sizes)}.")
    own = changed_fields(config.model, config.preset, config.size)
    scaled = []
    for size in sizes:
        changes = {name: now for name, (_, now) in own.items() if name not in size_fields(size, config.preset)}
        scaled.append(replace(config, size=size, model=load_preset(config.preset, size).replace(**changes)))
    return line_up(sorted(scaled, key=lambda config: count_parameters(config.model)))


def start(
    checkpoints: Path,
    entries: Sequence[Entry],
    *,
    kind: str,
    endings: Sequence[str] = (),
    name: str = "",
    launcher: Callable[[RunFolder], Any] | None = None,
) -> list[RunFolder]:
    """Make the run of every entry and queue them; one trains at a time.

    Args:
        kind: "race" or "scaling"; with the name it is noted in each run's origin.json, so that they are found together.
        endings: of the runs' names; their numbers where there are none.
        name: of the whole; a friendly one by default.

    Raises:
        RunError, ConfigError: a run cannot be made, or has no room in memory; none is there then.
        OSError: a process cannot be started; the runs before it go on.
    """
    for entry in entries:
        _check_memory(entry.config)
    name = name or friendly_name(datetime.now(UTC).isoformat())
    endings = endings or [str(number) for number in range(1, len(entries) + 1)]
    runs: list[RunFolder] = []
    try:
        for entry, ending in zip(entries, endings, strict=True):
            origin = {"launcher": kind, "seed": entry.config.training.seed, "group": f"{kind} {name}"}
            runs.append(create_run(checkpoints, entry.config, origin, f"{name}-{ending}"))
    except BaseException:
        for run in runs:
            shutil.rmtree(run.path, ignore_errors=True)
        raise
    for run in runs:
        (launcher or launch.launch)(run)
    return runs


def _check_memory(config: RunConfig) -> None:
    if config.training.device != "cpu" and machine.has_gpu():
        return  # its own memory counts, which only torch can tell
    rows = config.training.batch_size // config.training.grad_accumulation
    model = config.with_vocabulary(config.data.expected_vocabulary)
    needed = training_memory(model, rows, config.implementation).total
    if problem := memory_problem(needed, machine.available_memory_bytes()):
        raise ConfigError([problem])


@dataclass(frozen=True)
class BatchMatch:
    """Whether runs read the same batches, as far as all of them have come."""

    steps: int  # that all of them have done
    first_difference: int | None = None  # the step whose token ids differ
    unknown: bool = False  # one of them has not noted what it read
    last: int = 0  # of those steps

    @property
    def sentence(self) -> str:
        """The same for a person; empty where nothing can be said."""
        if self.unknown or not self.steps:
            return ""
        if self.first_difference is not None:
            return f"They read different token ids from step {self.first_difference:,} on."
        return f"They read the very same batches: equal hashes up to step {self.last:,}."


def compare_batches(readers: Sequence[MetricsReader]) -> BatchMatch:
    """Compare the hashes that runs noted of their batches, at the steps that all of them have done."""
    columns = [reader.columns("step", "batch_hash") for reader in readers]
    hashes = [dict(zip(column["step"], column["batch_hash"], strict=True)) for column in columns]
    steps = sorted(set.intersection(*map(set, hashes))) if hashes else []
    for step in steps:
        found = {of_run[step] for of_run in hashes}
        if len(found) > 1:  # NaN, of a run that has noted none, is not equal to itself
            unknown = any(math.isnan(value) for value in found)
            return BatchMatch(len(steps), int(step), unknown)
    return BatchMatch(len(steps), last=int(steps[-1]) if steps else 0)
