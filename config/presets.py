"""Named architectures: a preset is data (preset_files/*.toml), a size is data, and both only fill fields.

A file has the fields of its family, and sizes: the published ones with all that they set and with the number of
parameters that was published, and what the four sizes for training (preset_files/sizes.toml) set beside the usual.
"""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from config.errors import ConfigError, Problem
from config.fields import FieldInfo, describe, is_active
from config.model_config import ModelConfig

FOLDER = Path(__file__).parent / "preset_files"
PRESET_NAMES = ("gpt2", "llama", "olmo")  # in the order of the page's buttons
MORE_PRESETS = (  # in the order of the page's list, which is grouped by who released them
    "llama3", "opt", "gpt_oss", "gemma", "gemma2", "gemma3", "mistral", "mixtral", "qwen2", "qwen3", "qwen2_moe",
    "qwen3_moe", "deepseek_v2", "deepseek_v3", "olmo1", "olmo2", "olmo3", "olmoe", "pythia", "gptj", "gpt_neo", "phi",
    "phi3", "smollm3", "starcoder", "starcoder2", "bloom", "mpt", "falcon", "glm", "glm4", "glm4_moe", "minimax_m2",
    "cohere", "cohere2", "granite", "granite_moe", "nemotron", "stablelm", "arcee", "helium",
)  # fmt: skip
SIZES = ("tiny", "small", "medium", "full")
PLAIN = "llama"  # what others are compared with: most families since are LLaMA with something exchanged


@dataclass(frozen=True)
class PresetInfo:
    """What a preset is called, where its facts come from, and which fields it sets."""

    name: str
    title: str
    group: str
    """Who released it."""
    aliases: tuple[str, ...]
    summary: str
    source: str
    note: str
    fields: dict[str, Any]
    sizes: dict[str, dict[str, Any]]
    """Published sizes by name, with all fields that they set; and what the sizes for training set beside the usual."""
    parameters: dict[str, int]
    """The number of parameters of the published sizes, as it was published."""

    @property
    def published(self) -> tuple[str, ...]:
        """The names of the published sizes."""
        return tuple(self.parameters)


@cache
def preset_info(name: str) -> PresetInfo:
    """The description of a preset by its exact name (`resolve_preset` takes what people type)."""
    values = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    sizes = values.pop("sizes", {})
    parameters = {size: fields.pop("parameters") for size, fields in sizes.items() if "parameters" in fields}
    aliases = tuple(values.pop("aliases"))
    return PresetInfo(name=name, aliases=aliases, sizes=sizes, parameters=parameters, **values)


def is_preset(name: str | None) -> bool:
    """Whether there is a preset of exactly this name; a run may have been made by a version that had others."""
    return name in PRESET_NAMES or name in MORE_PRESETS


def title_of(preset: str | None, size: str | None) -> str | None:
    """LLaMA tiny, or the name of a published size as it is: llama-3.2-1b. None for a preset that is not there."""
    if not is_preset(preset):
        return None
    info = preset_info(preset or "")
    return size if size in info.published else f"{info.title} {size or ''}".strip()


def size_names(preset: str) -> tuple[str, ...]:
    """The sizes that a preset can be taken in: the four for training, and its published ones."""
    return (*SIZES, *preset_info(preset).published)


def has_size(preset: str, size: str | None) -> bool:
    """Whether a preset can be taken in this size."""
    return size in size_names(preset)


def is_size(text: str) -> bool:
    """Whether this is the name of a size, of any preset."""
    return any(has_size(preset, text) for preset in (*PRESET_NAMES, *MORE_PRESETS))


@cache
def size_fields(size: str, preset: str = PLAIN) -> dict[str, Any]:
    """The fields that a size of a preset sets, beside those that the preset itself sets.

    Raises:
        ConfigError: for an unknown size, with the list of sizes.
    """
    info = preset_info(preset)
    if not has_size(preset, size):
        known = ", ".join(size_names(preset))
        raise ConfigError([Problem("size", f"model size {size[:40]!r} is not one of {known}")])
    usual = tomllib.loads((FOLDER / "sizes.toml").read_text(encoding="utf-8"))
    return usual.get(size, {}) | info.sizes.get(size, {})


def resolve_preset(typed: str) -> str:
    """The preset meant by `GPT`, `gpt2`, `LLAMA`, `OLMo` …

    Raises:
        ConfigError: for an unknown name, with the list of presets.
    """
    names = (*PRESET_NAMES, *MORE_PRESETS)
    for name in names:
        if typed.lower() in (name, *preset_info(name).aliases):
            return name
    message = f"architecture {typed[:40]!r} is not one of {', '.join(names)} (or GPT)"
    raise ConfigError([Problem("architecture", message)])


def load_preset(name: str, size: str = "tiny") -> ModelConfig:
    """A preset in a size; `.replace(…)` changes any field afterwards.

    Raises:
        ConfigError: for an unknown preset or size.
    """
    preset = resolve_preset(name)
    return ModelConfig.from_dict(preset_info(preset).fields | size_fields(size, preset))


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


def differences_between(preset: str, other: str = PLAIN) -> list[tuple[FieldInfo, Any, Any]]:
    """What sets a preset apart from another one at the same size: (field, value in `other`, value in `preset`).

    Told are the causes: not that a RoPE base means nothing any more without RoPE, nor what a new part has by default.
    """
    first, second = load_preset(other, "tiny").to_dict(), load_preset(preset, "tiny").to_dict()
    found = []
    for name, info in describe(ModelConfig).items():
        before = first[name] if is_active(info, first) else info.default
        if name != "d_vocab" and is_active(info, second) and second[name] != before:
            found.append((info, before, second[name]))
    return found
