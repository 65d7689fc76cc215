"""The run folder: the only code that knows which file of a run has which name."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from config.errors import ConfigError, RunError
from config.model_config import ModelConfig
from config.run_config import RunConfig
from runs import machine, shared_files
from runs.files import read_json, sync_folder, write_json
from runs.lock import RunLock, hold_alone
from runs.names import COLORS, Label, clean_name, clean_note, friendly_name, numbered_name, parse_label
from runs.state import read_status

CHECKPOINTS = Path("checkpoints")
# fullmatch and ASCII: `$` would accept a final newline, and \d every digit of Unicode.
RUN_ID = re.compile(r"\d{14}(-\d{1,6})?", re.ASCII)


@dataclass(frozen=True, order=True)
class RunFolder:
    """One run. Making the object reads nothing; `create_run`, `open_run` and `list_runs` check what is there."""

    path: Path

    @property
    def id(self) -> str:
        """The UTC stamp of its creation, which is the folder's name."""
        return self.path.name

    @property
    def config_path(self) -> Path:
        return self.path / "config.json"

    @property
    def origin_path(self) -> Path:
        return self.path / "origin.json"

    @property
    def label_path(self) -> Path:
        return self.path / "label.json"

    @property
    def state_path(self) -> Path:
        return self.path / "state.json"

    @property
    def lock_path(self) -> Path:
        return self.path / "lock"

    @property
    def control_path(self) -> Path:
        return self.path / "control"

    @property
    def metrics_path(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def baselines_path(self) -> Path:
        return self.path / "baselines.json"

    @property
    def samples_path(self) -> Path:
        return self.path / "samples.jsonl"

    @property
    def log_path(self) -> Path:
        return self.path / "log.txt"

    @property
    def tokenizer_path(self) -> Path:
        return self.path / "tokenizer"

    @property
    def data_path(self) -> Path:
        return self.path / "data.json"

    @property
    def figure_path(self) -> Path:
        return self.path / "loss.html"

    @property
    def base_path(self) -> Path:
        """What the run began from, if it did not begin from nothing: a run folder in itself, with one checkpoint."""
        return self.path / "base"

    def step_path(self, step: int) -> Path:
        """The checkpoint folder of `step`."""
        return self.path / f"step_{step:08d}"

    def read_config(self) -> RunConfig:
        """The configuration the run was created with.

        Raises:
            RunError: config.json is missing, damaged, or holds values that no run can have.
        """
        try:
            return RunConfig.from_dict(read_json(self.config_path))
        except ConfigError as error:
            raise RunError(f"config.json of run {self.id} cannot be used: {error}") from None

    def read_data(self) -> dict[str, Any]:
        """data.json: what the worker trained on, `d_vocab` among it.

        Raises:
            RunError: the worker has not prepared its data yet, or the file is damaged.
        """
        data = read_json(self.data_path)
        if not isinstance(data, dict):
            raise RunError(f"data.json of run {self.id} is damaged: it is not a table.")
        return data

    def read_model_config(self, config: RunConfig | None = None) -> ModelConfig:
        """The model's configuration with the vocabulary of the run's tokenizer.

        Args:
            config: what `read_config` gave, where it is at hand.

        Raises:
            RunError: the tokenizer is not there yet, or a file is damaged.
        """
        config = config or self.read_config()
        if not self.data_path.exists():
            raise RunError(f"Run {self.id} has no tokenizer yet: its worker has not prepared the text.")
        d_vocab = self.read_data().get("d_vocab")
        if type(d_vocab) is not int:
            raise RunError(f"data.json of run {self.id} is damaged: d_vocab is {str(d_vocab)[:40]!r}.")
        try:
            return config.with_vocabulary(d_vocab)
        except ConfigError as error:
            raise RunError(f"data.json of run {self.id} is damaged: {error}") from None

    def read_label(self) -> Label:
        """Name, note, star and colour; a run without a readable label has the name and colour that its id gives it."""
        try:
            return parse_label(read_json(self.label_path), self.id)
        except RunError:
            return parse_label({}, self.id)

    def write_label(
        self, *, name: str | None = None, note: str | None = None, star: bool | None = None, color: int | None = None
    ) -> Label:
        """Change what is given and keep the rest; an empty name brings back the friendly one."""
        before = self.read_label()
        label = Label(
            name=before.name if name is None else clean_name(name) or friendly_name(self.id),
            note=before.note if note is None else clean_note(note),
            star=before.star if star is None else star,
            color=before.color if color is None else color % COLORS,
        )
        write_json(self.label_path, asdict(label))
        return label


def create_run(checkpoints: Path, config: RunConfig, origin: dict[str, Any], name: str | None = None) -> RunFolder:
    """Make the folder of a new run, with config.json, origin.json and label.json. Nothing is started.

    What a run with a parent begins from is put into its folder as well (runs/fork.py).

    Two runs created in the same second get different folders, also from two processes: `mkdir` decides.

    Args:
        origin: what the creator knows (seed, parent run, command line …); machine and versions are added.
        name: what to call it; `name-2` where another run has this name already. Default a friendly name.

    Raises:
        CheckpointError: the parent's checkpoint is gone or damaged.
        ConfigError: the configuration is not one `RunConfig.from_dict` accepts.
        RunError: the folder cannot be made (no space, no permission).
    """
    from runs.fork import take_over  # which itself needs this module

    values = config.to_dict()
    RunConfig.from_dict(values)  # before anything is on the disk: widgets are a convenience, not a boundary
    now = datetime.now(UTC)
    try:
        checkpoints.mkdir(parents=True, exist_ok=True)
        run = _make_folder(checkpoints.absolute(), now.strftime("%Y%m%d%H%M%S"))
        try:
            parent = {"parent_run": config.parent.run} if config.parent else {}
            created = {"created": now.isoformat(timespec="seconds")}
            write_json(run.origin_path, machine.describe() | created | parent | origin)
            with hold_alone(checkpoints / ".names"):  # from looking which names there are until this one is
                labels = [other.read_label() for other in list_runs(checkpoints) if other != run]
                taken = {label.name for label in labels}
                run.write_label(
                    name=numbered_name(clean_name(name or ""), taken) or friendly_name(run.id, taken),
                    color=labels[0].color + 1 if labels else 0,  # so runs that follow one another can be told apart
                )
            if config.parent:
                take_over(run, config.parent)
            write_json(run.config_path, values)  # last: with config.json the folder is a run
            sync_folder(run.path.parent)
        except BaseException:
            shutil.rmtree(run.path, ignore_errors=True)
            raise
    except OSError as error:
        raise RunError(f"A run cannot be created in {checkpoints}: {error.strerror or error}.") from error
    return run


def _make_folder(checkpoints: Path, stamp: str) -> RunFolder:
    number = 0
    while True:
        path = checkpoints / (f"{stamp}-{number}" if number else stamp)
        try:
            path.mkdir()
            return RunFolder(path)
        except FileExistsError:
            number += 1


def list_runs(checkpoints: Path = CHECKPOINTS) -> list[RunFolder]:
    """Every run in `checkpoints`, newest first; links and other folders are not runs."""
    return sorted(_find_folders(checkpoints), key=_age_key, reverse=True)


def _find_folders(checkpoints: Path) -> Iterator[RunFolder]:
    if checkpoints.is_dir():
        for path in checkpoints.absolute().iterdir():
            if RUN_ID.fullmatch(path.name) and path.is_dir() and not path.is_symlink():
                yield RunFolder(path)


def _age_key(run: RunFolder) -> tuple[str, int]:
    stamp, _, number = run.id.partition("-")
    return stamp, int(number or 0)


def open_run(checkpoints: Path, run_id: str) -> RunFolder:
    """The run `run_id`, which may come from a link or a form and is trusted in nothing.

    Raises:
        RunError: it is not a run id, or there is no such run. Nothing outside `checkpoints` is touched.
    """
    if not isinstance(run_id, str) or not RUN_ID.fullmatch(run_id):
        raise RunError(f"{clean_name(str(run_id)[:80])!r} is not the id of a run, such as 20261130141502.")
    path = checkpoints.absolute() / run_id
    if path.is_symlink() or not path.is_dir():
        raise RunError(f"There is no run {run_id} in {checkpoints}.")
    return RunFolder(path)


def find_run(checkpoints: Path, text: str) -> RunFolder:
    """The run that a person means by `text`: its id, its path, its name, or the beginning of either.

    Raises:
        RunError: no run is meant, or more than one.
    """
    if RUN_ID.fullmatch(text):
        return open_run(checkpoints, text)
    if "\0" not in text and (os.sep in text or text == "."):
        path = Path(text).absolute()
        if RUN_ID.fullmatch(path.name):
            return open_run(path.parent, path.name)
    names = {run: run.read_label().name for run in list_runs(checkpoints)}
    found = [run for run, name in names.items() if name == text]
    found = found or [run for run, name in names.items() if text and (run.id.startswith(text) or name.startswith(text))]
    shown = clean_name(text[:80])
    if not found and os.sep in text:
        raise RunError(f"{shown!r} is no run: the folder of a run is called by its id, such as 20261130141502.")
    if not found:
        raise RunError(f"There is no run {shown!r} in {checkpoints}; `python -m runs list` shows what is there.")
    if len(found) > 1:
        meant = ", ".join(f"{run.id} ({names[run]})" for run in found[:5])
        raise RunError(f"{shown!r} means {len(found)} runs: {meant}; write more of the id.")
    return found[0]


def delete_run(run: RunFolder) -> int:
    """Delete `run` for ever, and the token files and uploads that only it named; returns how many bytes that freed.

    Raises:
        RunError: a worker has it or is about to; stop it first.
    """
    status = read_status(run)
    if status.live:
        raise RunError(f"Run {run.id} is {status.state}: stop it before you delete it.")
    with RunLock(run):  # no worker can come in between
        named: set[str] = set()
        with contextlib.suppress(RunError):  # a damaged run must go too; what it named goes when it is an hour old
            named = shared_files.find_named(run)
        freed_bytes = shared_files.size_on_disk(run.path)
        # Out of sight in one step, so that nobody meets half a run.
        run.path.rename(run.path.with_name(f".deleted-{run.id}"))
        for grave in run.path.parent.glob(".deleted-*"):  # with what an interrupted deletion left
            shutil.rmtree(grave)
    collected = shared_files.collect(run.path.parent, list_runs(run.path.parent), freed=named)
    return freed_bytes + sum(collected.values())
