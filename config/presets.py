"""Named architectures: a preset is data (preset_files/*.toml), a size is data, and both only fill fields."""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from config.errors import ConfigError, Problem
from config.model_config import ModelConfig

FOLDER = Path(__file__).parent / "preset_files"
PRESET_NAMES = ("gpt2", "llama", "olmo")  # in the order of the page's buttons
SIZES = ("tiny", "small", "medium", "full")


@dataclass(frozen=True)
class PresetInfo:
    """What a preset is called, where its facts come from, and which fields it sets."""

    name: str
    title: str
    aliases: tuple[str, ...]
    summary: str
    source: str
    note: str
    fields: dict[str, Any]


@cache
def preset_info(name: str) -> PresetInfo:
    """The description of a preset by its exact name (`resolve_preset` takes what people type)."""
    values = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    return PresetInfo(name=name, **(values | {"aliases": tuple(values["aliases"])}))


@cache
def size_fields(size: str) -> dict[str, int]:
    """The fields that a size sets.

    Raises:
        ConfigError: for an unknown size, with the list of sizes.
    """
    if size not in SIZES:
        raise ConfigError([Problem("size", f"model size {size[:40]!r} is not one of {', '.join(SIZES)}")])
    return tomllib.loads((FOLDER / "sizes.toml").read_text(encoding="utf-8"))[size]


def resolve_preset(typed: str) -> str:
    """The preset meant by `GPT`, `gpt2`, `LLAMA`, `OLMo` …

    Raises:
        ConfigError: for an unknown name, with the list of presets.
    """
    for name in PRESET_NAMES:
        if typed.lower() in (name, *preset_info(name).aliases):
            return name
    raise ConfigError(
        [Problem("architecture", f"architecture {typed[:40]!r} is not one of {', '.join(PRESET_NAMES)} (or GPT)")]
    )


def load_preset(name: str, size: str = "tiny") -> ModelConfig:
    """A preset in a size; `.replace(…)` changes any field afterwards.

    Raises:
        ConfigError: for an unknown preset or size.
    """
    return ModelConfig.from_dict(preset_info(resolve_preset(name)).fields | size_fields(size))


def changed_fields(config: ModelConfig, preset: str, size: str) -> dict[str, tuple[Any, Any]]:
    """Where a configuration departs from its preset: field -> (preset's value, its value).

    The vocabulary is left out: it follows the tokenizer, not the preset.
    """
    original = load_preset(preset, size).to_dict()
    return {
        name: (original[name], value)
        for name, value in config.to_dict().items()
        if name != "d_vocab" and value != original[name]
    }
