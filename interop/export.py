"""A checkpoint as a Hugging Face folder: config.json, weights, generation_config.json and the tokenizer.

As with runs, the folder is made beside its place and renamed when it is whole.
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from config.errors import RunError
from interop.archive import pack
from interop.family import Family, choose_family
from interop.imported_run import check_free
from interop.registry import FAMILIES
from interop.tokenizer_files import write_tokenizer
from interop.weights import write_weights
from runs.files import sync_folder
from runs.folder import RunFolder
from text.tokenizer import Tokenizer
from training.checkpoint import load_model, load_tokenizer_of


def write_folder(step: Path, folder: Path) -> Family:
    """Write the checkpoint in the step folder `step`; returns its family.

    Raises:
        ConfigError: no family has this configuration.
        CheckpointError, TextError, RunError: it cannot be read or written.
    """
    check_free(folder)
    run = RunFolder(step.parent)
    config = run.read_model_config()
    family = choose_family(FAMILIES, config, run.read_config().preset)
    tokenizer = load_tokenizer_of(run.path)
    model = load_model(step)
    target = folder.absolute()
    staging = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        made = staging / target.stem
        made.mkdir(parents=True)
        write_tokenizer(made, tokenizer, config.n_ctx)
        _write(made / "config.json", family.write(config) | {"dtype": "float32"} | ends(tokenizer))
        _write(made / "generation_config.json", ends(tokenizer))
        write_weights(made, family, config, model.state_dict())
        if target.suffix == ".zip":
            pack(made, made.with_suffix(".zip"))
            made = made.with_suffix(".zip")
        os.replace(made, target)
        sync_folder(target.parent)
    except (OSError, SafetensorError) as error:
        raise RunError(f"{folder} cannot be written: {getattr(error, 'strerror', None) or error}.") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return family


def ends(tokenizer: Tokenizer) -> dict[str, Any]:
    """The tokens that begin and end a text; null, because their classes would take numbers of their own otherwise."""
    beginning, ending = tokenizer.beginning, list(tokenizer.ends)
    return {
        "bos_token_id": beginning[0] if beginning else None,
        "eos_token_id": ending if len(ending) > 1 else tokenizer.end_of_text,
        "pad_token_id": None,
    }


def _write(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
