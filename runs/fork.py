"""A new run from a checkpoint: everything it begins from is put into its own folder, so that the parent may go.

    weights carried   base/                 the parent with this one checkpoint and its weights alone, as a run folder
    all carried       step_…/               the parent's checkpoint is the new run's own, which it resumes
                      metrics.jsonl …       the curve, the samples and the baselines up to there

Either way with the tokenizer and data.json, which say what the weights mean. Large files are hard links where the file
system allows it: no file of a checkpoint is ever changed, and what both runs name takes its place on the disk once.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from config.errors import CheckpointError, RunError
from config.parent import Carried, Parent
from runs.checkpoints import find_steps
from runs.files import open_regular, read_json, sync_file, write_atomically, write_json
from runs.folder import RunFolder
from runs.verification import COMMIT, WEIGHTS, read_commit, verify

OPTIMIZER, TRAINER = "optimizer.safetensors", "trainer.json"


def describe_parent(checkpoint: Path, carried: Carried) -> Parent:
    """The record of a checkpoint that a run begins from.

    Raises:
        CheckpointError: its commit record is damaged, or `all` is to be carried and it holds weights alone.
    """
    run = RunFolder(checkpoint.parent)
    try:
        record = read_commit(checkpoint)
        data = read_json(run.data_path)
    except RunError as error:
        raise CheckpointError(f"The checkpoint {checkpoint} cannot be used. {error}") from None
    if carried == "all" and not is_resumable(record):
        raise CheckpointError(f"{checkpoint.name} of run {run.id} holds weights alone: only these can be carried over.")
    token_files = data.get("token_files", "") if isinstance(data, dict) else ""
    before = run.read_config().parent
    if carried == "all":  # the same text goes on: what may be forgotten is what came before it
        token_files = before.token_files if before else ""
    return Parent(
        run=run.id,
        step=record["step"],
        path=str(checkpoint.absolute()),
        weights_sha256=record["files"][WEIGHTS]["sha256"],
        token_files=token_files if isinstance(token_files, str) else "",
        carried=carried,
    )


def has_text(run: RunFolder) -> bool:
    """Whether the text that a run was trained on is known; of imported weights it is not.

    Raises:
        RunError: data.json is missing or damaged.
    """
    return not run.read_data().get("imported")


def is_resumable(record: dict[str, Any]) -> bool:
    """Whether a checkpoint with this commit record has all that a training needs to go on."""
    return {OPTIMIZER, TRAINER} <= record["files"].keys()


def take_over(run: RunFolder, parent: Parent) -> None:
    """Put into the folder of a new run what it begins from.

    Raises:
        CheckpointError: the parent's checkpoint is gone or damaged, or is another one by now.
        OSError: the disk is full.
    """
    checkpoint = Path(parent.path)
    if parent.carried == "all":
        _copy_position(checkpoint, run)
        copied = run.path / checkpoint.name
    else:
        copied = copy_weights(checkpoint, run.base_path)
    if read_commit(copied)["files"][WEIGHTS]["sha256"] != parent.weights_sha256:
        raise CheckpointError(f"{checkpoint} has been written anew since it was chosen: start again.")


def copy_weights(checkpoint: Path, target: Path) -> Path:
    """Make `target` a run folder with this one checkpoint, its weights alone; returns the checkpoint there.

    Adapters take along what they stand on, as `target/base`.

    Raises:
        CheckpointError: it is gone or damaged.
    """
    parent, copy = RunFolder(checkpoint.parent), RunFolder(target)
    folder = target / checkpoint.name
    folder.mkdir(parents=True)
    _share(checkpoint / WEIGHTS, folder / WEIGHTS)
    try:
        record = read_commit(checkpoint)
        write_json(folder / COMMIT, record | {"files": {WEIGHTS: record["files"][WEIGHTS]}})
    except RunError as error:
        raise CheckpointError(f"The checkpoint {checkpoint} cannot be used. {error}") from None
    _check(folder)
    _copy(parent.config_path, copy.config_path)
    _copy_meaning(parent, copy)
    if parent.read_config().lora.is_on:
        _copy_base(parent, copy)
    return folder


def _copy_position(checkpoint: Path, run: RunFolder) -> None:
    parent = RunFolder(checkpoint.parent)
    folder = run.path / checkpoint.name
    folder.mkdir()
    try:
        for name in (*read_commit(checkpoint)["files"], COMMIT):
            _share(checkpoint / name, folder / name)
        _check(folder)
        state = read_json(folder / TRAINER)
        lengths = {"metrics_bytes": run.metrics_path, "samples_bytes": run.samples_path}
        for key, path in lengths.items():
            _copy(parent.path / path.name, path, state[key])
    except (RunError, KeyError, TypeError) as error:
        raise CheckpointError(f"The checkpoint {checkpoint} cannot be resumed from: {error}") from None
    _copy_meaning(parent, run)
    if parent.base_path.is_dir():
        _copy_base(parent, run)
    if parent.baselines_path.exists():
        _copy(parent.baselines_path, run.baselines_path)


def _copy_meaning(parent: RunFolder, copy: RunFolder) -> None:
    """Tokenizer and data.json."""
    shutil.copytree(parent.tokenizer_path, copy.tokenizer_path)
    _copy(parent.data_path, copy.data_path)


def _copy_base(parent: RunFolder, copy: RunFolder) -> None:
    """What the parent itself began from; checkpoints of adapters are not whole without it."""
    ((_, below),) = find_steps(parent.base_path)
    copy_weights(below, copy.base_path)


def _check(folder: Path) -> None:
    if problem := verify(folder):
        raise CheckpointError(f"The checkpoint {folder.name} cannot be used. {problem}")


def _share(source: Path, target: Path) -> None:
    """The same file under a second name; a copy on another file system, or one without hard links."""
    try:
        os.link(source, target, follow_symlinks=False)
    except FileNotFoundError:
        raise CheckpointError(f"{source} is gone: choose another checkpoint.") from None
    except OSError:
        shutil.copyfile(source, target, follow_symlinks=False)
        sync_file(target)


def _copy(source: Path, target: Path, length: int = -1) -> None:
    try:
        with open_regular(source) as file:
            write_atomically(target, file.read(length))
    except FileNotFoundError:
        raise CheckpointError(f"{source} is gone: choose another checkpoint.") from None
