"""Which settings a run takes over from the run whose checkpoint it begins from."""

from collections.abc import Mapping
from typing import Any

from config.data_config import DataConfig
from config.fields import describe, is_active

# What these say is about one text, and holds for no other.
OF_TEXT = (
    "text_file", "data_size", "encoding", "val_fraction",
    "text_kind", "prompt_field", "response_field", "pair_template",
)  # fmt: skip


def inherit_data(parent: DataConfig, given: Mapping[str, Any]) -> dict[str, Any]:
    """The parent's text and tokenizer with what was given: another text comes with its own size, encoding and split."""
    inherited = parent.to_dict()
    if given.get("text_file", parent.text_file) != parent.text_file:
        defaults = DataConfig().to_dict()
        inherited |= {name: defaults[name] for name in OF_TEXT}
    return {**inherited, **given}


def same_text(one: DataConfig, other: DataConfig) -> bool:
    """Whether both mean the same part of the same text."""
    return all(getattr(one, name) == getattr(other, name) for name in OF_TEXT)


def same_tokenizer(one: DataConfig, other: DataConfig) -> bool:
    """Whether both ask for the same kind of tokenizer, so that the parent's own can be kept."""
    return _tokenizer_settings(one) == _tokenizer_settings(other)


def _tokenizer_settings(data: DataConfig) -> dict[str, Any]:
    values, infos = data.to_dict(), describe(DataConfig)
    asked = [name for name, info in infos.items() if info.group == "Tokenizer" and is_active(info, values)]
    return {name: values[name] for name in asked}
