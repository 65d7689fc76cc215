"""A run made of weights and a tokenizer that were trained elsewhere: finished, at step 0.

It is made under a name that nobody looks at and renamed when it is whole, so that a killed import leaves no half run.
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from config.errors import RunError
from config.run_config import RunConfig
from runs.checkpoints import WEIGHTS, make_temporary_folder, publish
from runs.files import sync_folder, write_json
from runs.folder import RunFolder, create_run, list_runs
from runs.lock import RunLock
from runs.names import clean_name, numbered_name
from runs.state import StateWriter
from text.tokenizer import Tokenizer


def check_free(path: Path) -> None:
    """Refuse to write where something is.

    Raises:
        RunError: `path` is a file, or a folder with something in it.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise RunError(f"{path} exists already and is not empty: name a folder that does not exist yet.")


def write(
    path: Path | None,
    config: RunConfig,
    tokenizer: Tokenizer,
    tensors: Mapping[str, Tensor],
    source: Mapping[str, Any],
    checkpoints: Path,
) -> RunFolder:
    """Make the run; `path` None means a new one among the others in `checkpoints`.

    Raises:
        RunError: the folder cannot be written.
    """
    parent = checkpoints.absolute() if path is None else path.absolute().parent
    staging = parent / f".import-{os.getpid()}"
    name = source["imported_from"]
    try:
        run = create_run(staging, config, {"command": ["import", name], **source}, name)
        _fill(run, config.model.d_vocab, tokenizer, tensors, source)
        target = _move(run, parent, path)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RunError(f"The run cannot be written in {parent}: {reason}.") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    taken = {other.read_label().name for other in list_runs(parent) if other != target}
    target.write_label(name=numbered_name(clean_name(name), taken))
    return target


def _fill(
    run: RunFolder, d_vocab: int, tokenizer: Tokenizer, tensors: Mapping[str, Tensor], source: Mapping[str, Any]
) -> None:
    tokenizer.save(run.tokenizer_path)
    temporary = make_temporary_folder(run, step=0)
    save_file(dict(tensors), temporary / WEIGHTS)
    step = publish(run, 0, temporary)
    write_json(run.data_path, {"name": source["imported_from"], "d_vocab": d_vocab, "imported": True})
    with RunLock(run):
        StateWriter(run).set("finished", "Imported: it was trained elsewhere.", last_checkpoint=step.name)


def _move(run: RunFolder, parent: Path, path: Path | None) -> RunFolder:
    """Put the finished folder where it belongs; under a number where another run has its second."""
    number = 0
    while True:
        target = path.absolute() if path else parent / (f"{run.id}-{number}" if number else run.id)
        try:
            os.rename(run.path, target)
        except OSError:
            if path or not target.exists():
                raise
            number += 1
            continue
        sync_folder(parent)
        return RunFolder(target)
