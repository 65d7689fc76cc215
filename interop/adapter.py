"""The adapters of a LoRA checkpoint as `peft` reads them: adapter_model.safetensors and adapter_config.json.

They stand on the model that `export RUN/base` writes: with them it gives what the checkpoint gives.

    ours     qkv_proj: A [r d_model], B [rows of q, k and v | r]
    theirs   q_proj: A, rows of q of B      k_proj: A, rows of k of B      v_proj: A, rows of v of B

The output of an adapter is rows of B, so B goes the way of the weight beside it (interop/layouts.py acts on rows) and A
is the same for all that these rows become. What cannot be said so is one map of theirs out of several of ours: their
adapters would need an A of their own for each part.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from config.errors import CheckpointError, ConfigError, Problem, RunError
from config.lora_config import LoraConfig
from config.model_config import ModelConfig
from interop.family import Family, choose_family
from interop.imported_run import check_free
from interop.layouts import Transposed
from interop.registry import FAMILIES
from runs.folder import RunFolder
from training.checkpoint import load_adapters
from training.lora import A, B

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
PREFIX = "base_model.model."


def write_adapter(step: Path, folder: Path) -> Family:
    """Write the adapters in the step folder `step`; returns the family of the model that they stand on.

    Raises:
        ConfigError: no family has this configuration, or its maps are joined from several of ours.
        CheckpointError: the checkpoint has no adapters, or cannot be read.
        RunError: the folder cannot be written.
    """
    check_free(folder)
    run = RunFolder(step.parent)
    lora, config = run.read_config().lora, run.read_model_config()
    if not lora.is_on:
        raise CheckpointError(f"{step.name} of run {run.id} has no adapters: export it as a model.")
    family = choose_family(FAMILIES, config, run.read_config().preset)
    tensors, transposed = translate(load_adapters(step), family, config)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
        values = describe(lora, sorted({name.rsplit(".lora_", 1)[0].removeprefix(PREFIX) for name in tensors}))
        values["fan_in_fan_out"] = transposed
        (folder / CONFIG).write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    except (OSError, SafetensorError) as error:
        raise RunError(f"{folder} cannot be written: {getattr(error, 'strerror', None) or error}.") from error
    return family


def translate(adapters: Mapping[str, Tensor], family: Family, config: ModelConfig) -> tuple[dict[str, Tensor], bool]:
    """Their adapters by peft's names, and whether their matrices are transposed (GPT-2).

    Raises:
        ConfigError: an adapted map of ours is only a part of one of theirs.
    """
    modules = [name.removesuffix(f".{B}") for name in adapters if name.endswith(f".{B}")]
    links = {link.ours[0]: link for link in family.names_of(config).links([f"{module}.weight" for module in modules])}
    found: dict[str, Tensor] = {}
    transposed = False
    for module in modules:
        link = links.get(f"{module}.weight")
        if link is None or len(link.ours) > 1:
            message = f"{family.model_type} joins {module} with others in one matrix, which adapters cannot be told for"
            raise ConfigError([Problem("lora_targets", message)])
        turned = isinstance(link.layout, Transposed)
        transposed = transposed or turned
        for name, rows in zip(link.theirs, link.layout.to_theirs([adapters[f"{module}.{B}"]], config), strict=True):
            their_module = PREFIX + name.removesuffix(".weight")
            found[f"{their_module}.{A}.weight"] = adapters[f"{module}.{A}"].clone()
            found[f"{their_module}.{B}.weight"] = (rows.T if turned else rows).contiguous()
    return found, transposed


def describe(lora: LoraConfig, modules: list[str]) -> dict[str, Any]:
    """adapter_config.json."""
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": None,
        "r": lora.lora_rank,
        "lora_alpha": lora.lora_alpha,
        "lora_dropout": lora.lora_dropout,
        "target_modules": modules,
        "bias": "none",
        "inference_mode": True,
    }
