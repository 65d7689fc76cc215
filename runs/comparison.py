"""What sets runs apart: the settings that differ, as rows of a table and as one sentence.

A setting counts where it has an effect (a RoPE base has none without RoPE), and by what it comes to: as many key/value
heads as heads is the same as none asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

from config.fields import FieldInfo, Settings, describe, is_active
from config.presets import changed_fields, is_preset, title_of
from config.run_config import RunConfig
from runs.names import clean_name
from runs.setting_words import SLOTS, change_in_words, value_in_words

SAME = "the same configuration"
WATCHED_DIFFERENTLY = "the same training, watched differently"
MOST_PHRASES = 6
NO_EFFECT = "–"
SECTION_TITLES = {"model": "Architecture", "data": "Text", "training": "Training"}
# What changes no weight: a sentence leaves it out.
WATCHING = "Watching"


Key = tuple[str, str]  # section, field


@dataclass(frozen=True)
class _Value:
    """A setting as it is compared, and as it is shown: what is unset is shown as what it comes to."""

    compared: Any
    shown: Any


_NONE = _Value(object(), None)


@dataclass(frozen=True)
class Difference:
    """One setting in which runs differ."""

    section: str  # Architecture, Text, Training
    title: str
    words: tuple[str, ...]  # its value in each run, in their order; `NO_EFFECT` where it has none


def model_name(config: RunConfig) -> str:
    """What a run trains, by its preset: LLaMA tiny."""
    return title_of(config.preset, config.size) or "own architecture"


def find_differences(configs: Sequence[RunConfig]) -> list[Difference]:
    """The settings in which these configurations are not all alike, in the order of the form."""
    settings = [_settings_of(config) for config in configs]
    found = []
    for key, info in _infos(configs).items():
        values = [known.get(key, _NONE) for known in settings]
        with_effect = [value.compared for value in values if value is not _NONE]
        # What has an effect in some of them alone, and is there as it always is, another row has said: the positions.
        if any(value != (info.default if _NONE in values else with_effect[0]) for value in with_effect):
            words = tuple(NO_EFFECT if value is _NONE else value_in_words(info, value.shown) for value in values)
            found.append(Difference(SECTION_TITLES.get(key[0], key[0].title()), info.title, words))
    whole = {
        ("Architecture", "Implementation"): tuple(config.implementation for config in configs),
        ("Training", "Begins from"): tuple(_beginning(config) for config in configs),
    }
    return found + [Difference(*titles, words) for titles, words in whole.items() if len(set(words)) > 1]


@lru_cache(maxsize=4_096)
def what_changed(reference: RunConfig, other: RunConfig) -> str:
    """What `other` does differently, in one sentence: LLaMA tiny with ALiBi instead of RoPE, twice the layers."""
    head, explained = _head(reference, other)
    before, now = _settings_of(reference), _settings_of(other)
    infos = {key: info for key, info in _infos((reference, other)).items() if key in before and key in now}
    changed = [key for key in infos if now[key].compared != before[key].compared]
    telling = [key for key in changed if key not in explained and infos[key].group != WATCHING]
    telling.sort(key=lambda key: key[1] not in SLOTS)  # components first
    phrases = [change_in_words(infos[key], now[key].shown, before[key].shown) for key in telling]
    if other.implementation != reference.implementation:
        phrases.append(f"implementation {other.implementation} instead of {reference.implementation}")
    if _beginning(other) != _beginning(reference):
        phrases.append(f"{_beginning(other)} instead of {_beginning(reference)}")
    if not phrases and not explained and model_name(other) == model_name(reference):
        return WATCHED_DIFFERENTLY if changed else SAME
    if len(phrases) > MOST_PHRASES:
        phrases[MOST_PHRASES - 1 :] = [f"and {len(phrases) - MOST_PHRASES + 1} more changes"]
    if not phrases:
        return head
    return f"{head}{',' if ' instead of ' in head else ''} with {', '.join(phrases)}"


def _beginning(config: RunConfig) -> str:
    """Where the first weights come from."""
    if config.parent is None:
        return "new weights"
    return f"the weights of step {config.parent.step:,} of {clean_name(config.parent.run)}"


def _head(reference: RunConfig, other: RunConfig) -> tuple[str, set[Key]]:
    """What it is, and which settings that explains: where presets differ, those that both leave as theirs say."""
    name, name_before = model_name(other), model_name(reference)
    if name == name_before:
        return name, set()
    sound = all(is_preset(config.preset) and config.size for config in (reference, other))
    explained: set[Key] = set()
    if sound:
        own = [changed_fields(config.model, config.preset or "", config.size or "") for config in (reference, other)]
        explained = {("model", name) for name in describe(type(other.model)) if not any(name in own_ for own_ in own)}
    if other.preset == reference.preset:
        name_before = reference.size or ""
    return f"{name} instead of {name_before}", explained


def _sections(config: RunConfig) -> dict[str, Settings]:
    """Every part of a configuration that has settings."""
    parts = {item.name: getattr(config, item.name) for item in fields(config)}
    return {name: part for name, part in parts.items() if isinstance(part, Settings)}


def _infos(configs: Sequence[RunConfig]) -> dict[Key, FieldInfo]:
    """All settings of all parts, in the order they are written."""
    sections = {name: type(part) for config in configs for name, part in _sections(config).items()}
    return {
        (section, name): info
        for section, kind in sections.items()
        for name, info in describe(kind).items()
        if name != "d_vocab"  # follows text and tokenizer
    }


def _settings_of(config: RunConfig) -> dict[Key, _Value]:
    """What has an effect."""
    found: dict[Key, _Value] = {}
    for section, part in _sections(config).items():
        values = part.to_dict()
        for name, info in describe(type(part)).items():
            if name != "d_vocab" and is_active(info, values):
                found[section, name] = _Value(values[name], values[name])
    model, training = config.model, config.training
    # What it comes to, and what it would come to unset: twice the heads are not also heads of half the width.
    derived = {
        ("model", "n_kv_heads"): (model.kv_heads, model.n_heads),
        ("model", "d_head"): (model.head_dim, model.d_model // model.n_heads),
        ("training", "min_lr"): (training.final_lr, training.lr / 10),
    }
    for key, (value, unset) in derived.items():
        if key in found:
            found[key] = _Value(None if value == unset else value, value)
    return found
