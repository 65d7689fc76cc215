"""A configuration in few words: only what departs from its preset and from the defaults, as text.

The command line, the address of the Train page and `python -m runs race` all speak these words, with the names of
train.py's flags: {"architecture": "llama", "model_size": "tiny", "position": "alibi", "seed": "7"}. What comes back
from an address is text from outside: each word is refused alone, with a sentence.
"""

from argparse import ArgumentTypeError
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from config.catalog import IMPLEMENTATIONS
from config.data_config import DataConfig
from config.errors import ConfigError, Problem
from config.fields import FieldInfo, Settings, describe, is_active, problem_of, unknown_field, without_effect
from config.flags import parser_of
from config.model_config import ModelConfig
from config.presets import is_size, load_preset, resolve_preset, size_names
from config.run_config import RunConfig
from config.train_config import TrainConfig

CLASSES: dict[str, type[Settings]] = {"model": ModelConfig, "data": DataConfig, "training": TrainConfig}
NAMES = ("architecture", "model_size", "implementation")  # beside the settings
FOLLOWS = "d_vocab"  # the tokenizer, and cannot be chosen
MOST_CHARACTERS = 1_000  # of one word
Words = Mapping[str, str]


@dataclass(frozen=True)
class Spoken:
    """What words say: plain values of every part, sound one by one; and what was refused."""

    architecture: str
    model_size: str
    implementation: str
    values: dict[str, dict[str, Any]]  # of each section, with the preset's and the defaults where nothing is said
    problems: list[Problem]

    def config(self) -> RunConfig:
        """The configuration, if the words make one.

        Raises:
            ConfigError: with everything that was refused, and what does not go together.
        """
        if self.problems:
            raise ConfigError(self.problems)
        return RunConfig(
            model=ModelConfig.from_dict(self.values["model"]),
            implementation=self.implementation,
            data=DataConfig.from_dict(self.values["data"]),
            training=TrainConfig.from_dict(self.values["training"]),
            preset=self.architecture,
            size=self.model_size,
        )


def changed_words(config: RunConfig) -> dict[str, dict[str, str]]:
    """What departs from preset and defaults and has an effect, by section: {"model": {"position": "alibi"}, …}."""
    assert config.preset is not None and config.size is not None
    preset = load_preset(config.preset, config.size).to_dict()
    found: dict[str, dict[str, str]] = {}
    for section, part in (("model", config.model), ("data", config.data), ("training", config.training)):
        infos, values = describe(type(part)), part.to_dict()
        before = preset if section == "model" else {name: info.default for name, info in infos.items()}
        found[section] = {
            name: word(value)
            for name, value in values.items()
            if name != FOLLOWS and value != before[name] and is_active(infos[name], values)
        }
    return found


def to_words(config: RunConfig) -> dict[str, str]:
    """All of it in one flat table, what it starts from first."""
    assert config.preset is not None and config.size is not None
    start = {"architecture": config.preset, "model_size": config.size}
    if config.implementation != "fused":
        start["implementation"] = config.implementation
    return start | {name: text for words in changed_words(config).values() for name, text in words.items()}


def from_words(words: Words) -> Spoken:
    """Read what `to_words` wrote, or what anybody wrote in its place; what cannot be used is left out and told."""
    problems: list[Problem] = []
    start: dict[str, str] = {}
    for name in NAMES:
        start[name] = _start_word(name, words.get(name), problems, start.get("architecture", ""))
    values = {section: {name: info.default for name, info in describe(kind).items()}
              for section, kind in CLASSES.items()}  # fmt: skip
    values["model"] = load_preset(start["architecture"], start["model_size"]).to_dict()
    usual = {section: dict(part) for section, part in values.items()}
    infos = {name: (section, info) for section, kind in CLASSES.items() for name, info in describe(kind).items()}
    del infos[FOLLOWS]
    for name, text in words.items():
        if name in NAMES:
            continue
        if name not in infos:
            problems.append(Problem(name[:60], unknown_field(name, [*infos, *NAMES])))
            continue
        section, info = infos[name]
        value, problem = _read(info, text)
        if problem:
            problems.append(Problem(name, problem))
        else:
            values[section][name] = value
    for section, kind in CLASSES.items():
        for idle in without_effect(kind, values[section], words):
            problems.append(idle)
            values[section][idle.field] = usual[section][idle.field]
    return Spoken(**start, values=values, problems=problems)


def split_words(texts: Sequence[str]) -> dict[str, str]:
    """`llama tiny position=alibi` as words; a bare word is an architecture or a size.

    Raises:
        ConfigError: a word is neither, or something is said twice.
    """
    words: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            name, value = ("model_size" if is_size(text) else "architecture"), text
        if name in words:
            raise ConfigError([Problem(name[:60], f"{name[:60]} is given twice: {words[name][:40]} and {value[:40]}")])
        words[name] = value
    return words


def word(value: Any) -> str:
    """A value as a flag takes it: on, none, 0.001, 8."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    return str(value)


def _start_word(name: str, given: str | None, problems: list[Problem], preset: str) -> str:
    """Preset, size (of that preset) and implementation; the usual one where a word is refused or missing."""
    usual = {"architecture": "gpt2", "model_size": "tiny", "implementation": "fused"}[name]
    if given is None:
        return usual
    try:
        if name == "architecture":
            return resolve_preset(given)
    except ConfigError as error:
        problems += error.problems
        return usual
    choices = size_names(preset) if name == "model_size" else IMPLEMENTATIONS
    if given in choices:
        return given
    problems.append(Problem(name, f"{name} {given[:40]!r} is not one of {', '.join(choices)}"))
    return usual


def _read(info: FieldInfo, text: str) -> tuple[Any, str | None]:
    """The value that a word stands for, and why it cannot be used."""
    if len(text) > MOST_CHARACTERS:
        return None, f"{info.name} has {len(text):,} characters: nothing that long is a setting"
    try:
        value = parser_of(info)(text)
    except ArgumentTypeError as error:
        return None, str(error)
    return value, problem_of(info, value)
