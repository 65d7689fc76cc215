"""Token files and uploads lie once beside the runs and are shared by them; here they are found, and go when unnamed."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import time
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from config.errors import RunError
from config.parent import FOLDER_NAME
from runs.files import read_json
from runs.state import read_status

if TYPE_CHECKING:
    from runs.folder import RunFolder

SHARED_FOLDERS = (".tokens", ".uploads")
# A file that no run names yet may be an upload whose owner is still choosing a model.
_UNNAMED_LIFETIME_SECONDS = 3_600.0


def tokens_folder(run: RunFolder) -> Path:
    """Where the tokens lie that a run was trained on; they may have been cleared.

    Raises:
        RunError: data.json is not there or damaged, or names none, as that of imported weights.
    """
    key = run.read_data().get("token_files")
    if not isinstance(key, str) or not key or not FOLDER_NAME.fullmatch(key):
        raise RunError(f"data.json of run {run.id} is damaged: token_files is {str(key)[:40]!r}.")
    return run.path.parent / SHARED_FOLDERS[0] / key


def find_named(run: RunFolder) -> set[str]:
    """Every name that config.json and data.json of `run` mention, path parts included.

    Raises:
        RunError: one of the two is there and cannot be read.
    """
    names: set[str] = set()
    for path in (run.config_path, run.data_path):
        if os.path.lexists(path):
            for text in _find_strings(read_json(path)):
                names.update(Path(text).parts)
    return names


def _find_strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _find_strings(item)


def collect(checkpoints: Path, runs: Iterable[RunFolder], freed: Collection[str] = ()) -> dict[Path, int]:
    """Delete the entries of `.tokens` and `.uploads` that none of `runs` names; returns what went, with its bytes.

    An entry that was not `freed` just now must also be an hour old. Nothing is deleted as long as a run cannot be
    read, or is alive and has not written down yet which token file it uses: it may be reading one at this moment.
    """
    named: set[str] = set()
    for run in runs:
        try:
            named |= find_named(run)
        except RunError:
            return {}
        if not run.data_path.exists() and read_status(run).live:
            return {}
    removed: dict[Path, int] = {}
    for folder in (checkpoints / name for name in SHARED_FOLDERS):
        for entry in sorted(folder.iterdir()) if folder.is_dir() else ():
            age = time.time() - entry.lstat().st_mtime
            if entry.name not in named and (entry.name in freed or age > _UNNAMED_LIFETIME_SECONDS):
                removed[entry] = size_on_disk(entry)
                _remove(entry)
    return removed


def size_on_disk(path: Path) -> int:
    """Bytes that deleting the file or folder `path` frees: files that also have a name elsewhere do not count."""
    total = 0
    for file in path.rglob("*") if path.is_dir() and not path.is_symlink() else (path,):
        with contextlib.suppress(FileNotFoundError):  # a worker prunes and renames meanwhile
            found = file.lstat()
            total += found.st_size if stat.S_ISREG(found.st_mode) and found.st_nlink == 1 else 0
    return total


def _remove(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink()
