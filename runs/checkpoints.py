"""Checkpoints of a run: what is there, which one is meant, how one is published, and which ones may go."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from config.errors import CheckpointError, RunError
from runs.files import sync_file, sync_folder, write_json
from runs.folder import CHECKPOINTS, RunFolder, find_run
from runs.verification import (
    COMMIT,
    STEP_FOLDER,
    WEIGHTS,
    describe_stranger,
    hash_file,
    is_plain_folder,
    read_val_loss,
    verify,
)

__all__ = [
    "COMMIT", "WEIGHTS", "CheckpointInfo", "choose", "find_checkpoint", "find_steps", "list_checkpoints",
    "make_temporary_folder", "prune", "publish", "sweep", "verify", "write_commit",
]  # fmt: skip

# With one, a kill in the middle of the next save could leave none.
KEEP_AT_LEAST = 2


@dataclass(frozen=True, kw_only=True)
class CheckpointInfo:
    """One `step_…` folder, as a list shows it."""

    path: Path
    step: int
    ok: bool
    """Whether it verifies: every file is there, with the size and the SHA-256 that the commit record gives."""
    problem: str
    """Why not, in one sentence; empty when it verifies."""
    val_loss_nats: float | None
    bytes: int


def list_checkpoints(run: RunFolder) -> list[CheckpointInfo]:
    """Every checkpoint of `run`, oldest first, the damaged ones with their problem.

    Hashes every file once (114 ms per 100 MB); as long as the files do not change, later calls only look at them.
    """
    found = [_inspect(step, path) for step, path in find_steps(run.path)]
    return [info for info in found if info is not None]


def _inspect(step: int, path: Path) -> CheckpointInfo | None:
    problem = verify(path) or ""
    try:
        size = sum(entry.stat(follow_symlinks=False).st_size for entry in os.scandir(path))
    except FileNotFoundError:  # the worker pruned it while we looked
        return None
    return CheckpointInfo(
        path=path, step=step, ok=not problem, problem=problem, val_loss_nats=read_val_loss(path), bytes=size
    )


def find_steps(folder: Path) -> list[tuple[int, Path]]:
    """Every `step_…` folder in `folder`, oldest first."""
    try:
        paths = list(folder.iterdir())
    except FileNotFoundError:  # deleted in another tab
        return []
    found = [(STEP_FOLDER.fullmatch(path.name), path) for path in paths]
    return sorted((int(match[1]), path) for match, path in found if match and is_plain_folder(path))


def _best_first(paths: list[Path]) -> list[Path]:
    """The checkpoints with a validation loss, lowest first; of equal ones the one that comes first in `paths`."""
    losses = {path: read_val_loss(path) for path in paths}
    known = {path: loss for path, loss in losses.items() if loss is not None}
    return sorted(known, key=known.__getitem__)


def choose(run_or_step: RunFolder | Path | str, say: Callable[[str], None] = lambda sentence: None) -> Path:
    """The checkpoint folder that is meant by a run, by one of its checkpoints, or by the weights file in one.

    Of a run: the best (lowest validation loss) that verifies, else the newest that does. Generating, exporting and the
    pages use this one rule.

    Args:
        say: hears which damaged checkpoints of a run were passed over, and what is taken instead.

    Raises:
        CheckpointError: there is none, or none that verifies.
    """
    path = Path(run_or_step) if isinstance(run_or_step, str | Path) else run_or_step.path
    if "\0" in str(path):
        raise CheckpointError("A path cannot contain a NUL character.")
    path = path.absolute()  # "." has neither a name nor a parent
    try:
        if not path.exists():
            raise CheckpointError(f"There is no checkpoint at {path}.")
        if path.name == WEIGHTS and STEP_FOLDER.fullmatch(path.parent.name):
            path = path.parent
        if not path.is_dir():
            raise CheckpointError(describe_stranger(path))
        if not STEP_FOLDER.fullmatch(path.name) and not (path / COMMIT).is_file():
            return _choose_of_run(path, say)
    except OSError as error:  # no permission, a name that is too long, a loop of links
        raise CheckpointError(f"The checkpoint {str(path)[:200]} cannot be read: {error.strerror or error}.") from None
    problem = verify(path)
    if problem:
        raise CheckpointError(f"The checkpoint {path} cannot be used. {problem}")
    return path


def find_checkpoint(
    text: str, checkpoints: Path = CHECKPOINTS, say: Callable[[str], None] = lambda sentence: None
) -> Path:
    """The checkpoint folder that a person means by a path, or by the id or name of a run in `checkpoints`.

    Raises:
        CheckpointError, RunError: there is none, or none that can be used.
    """
    path = Path(text)
    if "\0" not in text and not path.exists():
        if len(path.parts) == 1:
            return choose(find_run(checkpoints, text), say)
        if (path.parent / "config.json").is_file():
            raise CheckpointError(f"There is no {path.name} in run {path.parent}: name the run folder itself.")
    return choose(path, say)


def _choose_of_run(folder: Path, say: Callable[[str], None]) -> Path:
    newest_first = [path for _, path in reversed(find_steps(folder))]
    if not newest_first:
        if (folder / WEIGHTS).exists() or (folder / f"{WEIGHTS}.index.json").exists():
            raise CheckpointError(
                f"{folder} is a model from Hugging Face and no run: make one of it (python -m interop.hugging_face "
                f"import {folder.name}), or name the run that was made of it by its id."
            )
        if (folder / "config.json").is_file():
            raise CheckpointError(f"Run {folder.name} has no checkpoint yet.")
        raise CheckpointError(f"{folder} is neither a run nor a checkpoint: no config.json and no step_… folder in it.")
    problems: list[str] = []
    for path in dict.fromkeys(_best_first(newest_first) + newest_first):
        problem = verify(path)
        if problem is None:
            if problems:
                say(f"passed over damaged checkpoints, {path.name} is used instead. {' '.join(problems[:3])}")
            return path
        problems.append(f"{path.name}: {problem}")
    told = " ".join(problems[:3])
    raise CheckpointError(f"None of the {len(problems)} checkpoints of run {folder.name} can be used. {told}")


def make_temporary_folder(run: RunFolder, step: int) -> Path:
    """An empty folder in the run to write the files of checkpoint `step` into, before `publish`."""
    path = run.path / f".{run.step_path(step).name}.{os.getpid()}.tmp"
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    return path


def publish(run: RunFolder, step: int, temporary: Path, val_loss_nats: float | None = None) -> Path:
    """Make the files in `temporary` the checkpoint of `step`; from the return on it survives a power cut.

    fsync of each file, rename of the folder, fsync of the run, then the commit record, which makes it count. A
    checkpoint that the step already had (from before a resume) is kept until the new one counts.

    Raises:
        OSError: the disk is full or gone; the run has the checkpoints it had before.
    """
    final = run.step_path(step)
    try:
        for file in temporary.iterdir():
            sync_file(file)
        sync_folder(temporary)
        if final.exists():
            os.rename(final, _aside(final))
        os.rename(temporary, final)
        sync_folder(run.path)
        write_commit(final, step=step, val_loss_nats=val_loss_nats)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        _settle(final)
        raise
    _settle(final)
    return final


def _aside(final: Path) -> Path:
    return final.with_name(f".{final.name}.old")


def _settle(final: Path) -> None:
    """Of a checkpoint and the one it was to replace keep the one that counts."""
    if not (final / COMMIT).exists():
        shutil.rmtree(final, ignore_errors=True)
        if _aside(final).exists():
            os.rename(_aside(final), final)
    shutil.rmtree(_aside(final), ignore_errors=True)


def write_commit(folder: Path, *, step: int, val_loss_nats: float | None = None) -> None:
    """Write the commit record of the checkpoint `folder`: size and SHA-256 of each file in it."""
    files = {
        path.name: {"sha256": hash_file(path), "bytes": path.stat().st_size}
        for path in sorted(folder.iterdir())
        if path.name != COMMIT
    }
    write_json(folder / COMMIT, {"step": step, "files": files, "val_loss_nats": val_loss_nats})


def prune(run: RunFolder, keep: int = KEEP_AT_LEAST) -> list[Path]:
    """Delete all checkpoints but the last `keep` and the best; returns what was deleted.

    Folders that do not count (damaged, unfinished) are neither counted nor touched. The commit record goes first: a
    reader must never see a promise without its files.

    Raises:
        RunError: `keep` is below 2.
    """
    if keep < KEEP_AT_LEAST:
        raise RunError(f"At least {KEEP_AT_LEAST} checkpoints are kept, not {keep}: the last may be half-written.")
    newest_first = [path for _, path in reversed(find_steps(run.path)) if verify(path, hash_files=False) is None]
    kept = {*newest_first[:keep], *_best_first(newest_first)[:1]}
    removed = [path for path in newest_first if path not in kept]
    for path in removed:
        (path / COMMIT).unlink()
        sync_folder(path)
        shutil.rmtree(path)
    return removed


def sweep(run: RunFolder) -> None:
    """Delete what killed saves left behind. Only the worker that holds the lock may, before it resumes."""
    for aside in run.path.glob(".step_*.old"):
        _settle(aside.with_name(aside.name[1:].removesuffix(".old")))
    for temporary in run.path.glob(".step_*.tmp"):
        shutil.rmtree(temporary, ignore_errors=True)
    for _, path in find_steps(run.path):
        if not (path / COMMIT).exists():
            shutil.rmtree(path, ignore_errors=True)
