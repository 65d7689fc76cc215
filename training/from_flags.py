"""From the flags of train.py to a configuration: what each of them begins with, and which one wins.

preset, demo, or the checkpoint of --from   <   the file of --config   <   flags
"""

import argparse
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from config.data_config import DataConfig
from config.demos import load_demo
from config.errors import ConfigError, Problem, TextError
from config.fields import Settings, describe, find_problems, without_effect
from config.flags import given_settings
from config.inheritance import inherit_data
from config.lora_config import LoraConfig
from config.model_config import ModelConfig
from config.presets import load_preset, resolve_preset
from config.run_config import RunConfig
from config.settings_file import read_config_file
from config.train_config import TrainConfig
from runs.checkpoints import find_checkpoint
from runs.folder import CHECKPOINTS, RunFolder
from runs.fork import has_text


def configure(arguments: argparse.Namespace) -> RunConfig:
    """Preset, then the config file, then the flags: the later wins.

    Raises:
        ConfigError: all problems of all parts at once.
    """
    given = vars(arguments)
    file = read_config_file(given["config"]) if "config" in given else {}
    if "demo" in given:
        if fixed := sorted({"architecture", "model_size"} & (given.keys() | file.keys())):
            raise ConfigError([Problem("demo", f"--demo brings its own architecture and size: leave out {fixed[0]}")])
        base = load_demo(given["demo"])
    elif "carry" in given and "from" not in given:
        raise ConfigError([Problem("carry", "--carry says what to take over from a checkpoint: name one with --from")])
    elif "from" in given:
        if fixed := sorted({"architecture", "model_size"} & (given.keys() | file.keys())):
            raise ConfigError([Problem(fixed[0], f"--from brings its own architecture: leave out {fixed[0]}")])
        base = RunFolder(find_parent(given).parent).read_config()
    else:
        preset = resolve_preset(given.get("architecture") or file.get("architecture") or "gpt2")
        size = given.get("model_size") or file.get("model_size") or "small"
        base = RunConfig(model=load_preset(preset, size), preset=preset, size=size)
    chosen = [given[name] for name in ("implementation", "use_einops", "no_einops") if name in given]
    if len(set(chosen)) > 1:
        raise ConfigError([Problem("implementation", f"choose one implementation, not {' and '.join(chosen)}")])

    problems: list[Problem] = []
    parts: dict[str, dict[str, Any]] = {}
    for name, before in (("model", base.model), ("data", base.data), ("training", base.training), ("lora", base.lora)):
        kind: type[Settings] = type(before)
        of_file = {key: value for key, value in file.items() if key in describe(kind)}
        settings = of_file | given_settings(arguments, kind)
        if name == "data" and "pairs" in given:
            settings |= {"text_file": given["pairs"], "text_kind": "pairs"}
        parts[name] = before.to_dict() | settings
        if name == "data" and "from" in given:
            parts[name] = inherit_data(base.data, settings)
        problems += find_problems(kind, parts[name])
        problems += without_effect(kind, parts[name], settings)
    if problems:
        raise ConfigError(problems)
    return RunConfig(
        model=ModelConfig(**parts["model"]),
        implementation=(chosen or [file.get("implementation", base.implementation)])[0],
        data=DataConfig(**parts["data"]),
        training=TrainConfig(**parts["training"]),
        lora=LoraConfig(**parts["lora"]),
        preset=base.preset,
        size=base.size,
    )


def find_parent(given: dict[str, Any]) -> Path:
    """The checkpoint that `--from` names.

    Raises:
        CheckpointError, RunError: there is none, or none that can be used.
    """
    say = partial(print, file=sys.stderr)
    return find_checkpoint(given["from"], Path(given.get("checkpoints", CHECKPOINTS)), say)


def ask_for_text(config: RunConfig, parent: RunFolder) -> None:
    """Imported weights come without the text that they were trained on, so a run that begins with them needs its own.

    Raises:
        RunError: the parent's files are damaged.
        TextError: no text was named.
    """
    if not has_text(parent) and config.data.text_file == parent.read_config().data.text_file:
        raise TextError(
            f"{parent.read_label().name} was imported without a text: name one to train on with --text_file"
        )


def follow_prepared_text(config: RunConfig, given: dict[str, Any]) -> RunConfig:
    """A text that `text.prepare` has cut into tokens brings its tokenizer and its split with it.

    Raises:
        TextError: a setting of `given` says something else.
    """
    from text.prepared import find_prepared, follow_prepared

    prepared = find_prepared(config.data.text_file)
    return config if prepared is None else replace(config, data=follow_prepared(prepared, config.data, given))
