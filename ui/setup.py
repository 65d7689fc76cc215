"""What the form says, checked: either a configuration that can be trained, or every reason why not."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from config.data_config import DataConfig
from config.fields import Settings, describe, find_problems
from config.model_config import ModelConfig
from config.presets import load_preset
from config.run_config import RunConfig
from config.train_config import TrainConfig

TABS = {"model": "Architecture", "data": "Text", "training": "Training"}
CLASSES: dict[str, type[Settings]] = {"model": ModelConfig, "data": DataConfig, "training": TrainConfig}
Values = Mapping[str, Any]


@dataclass(frozen=True)
class Setup:
    """The form's values and what is wrong with them; `config` is there only when nothing is."""

    problems: dict[tuple[str, str], str]
    config: RunConfig | None


def check(model: Values, data: Values, training: Values, *, implementation: str, preset: str, size: str) -> Setup:
    """All problems of all parts at once, by (section, field)."""
    problems: dict[tuple[str, str], str] = {}
    for section, values in (("model", model), ("data", data), ("training", training)):
        for problem in find_problems(CLASSES[section], values):
            info = describe(CLASSES[section]).get(problem.field)
            empty = info and values.get(problem.field) is None and not info.optional
            message = f"{info.title} is empty; typical: {info.typical}" if info and empty else problem.message
            problems.setdefault((section, problem.field), message)
    if problems:
        return Setup(problems, None)
    config = RunConfig(
        model=ModelConfig(**model),
        data=DataConfig(**data),
        training=TrainConfig(**training),
        implementation=implementation,
        preset=preset,
        size=size,
    )
    return Setup({}, config)


def changes(model: Values, preset: str, size: str) -> dict[str, tuple[Any, Any]]:
    """Where the form departs from its preset: field -> (the preset's value, the form's), sound or not."""
    original = load_preset(preset, size).to_dict()
    return {
        name: (original[name], model[name]) for name in original if name != "d_vocab" and model[name] != original[name]
    }


def changes_in_words(changed: Mapping[str, tuple[Any, Any]]) -> str:
    """Positions rope → alibi · Heads 4 → 8."""
    known = describe(ModelConfig)
    return " · ".join(
        f"{known[name].title} {in_words(before)} → {in_words(now)}" for name, (before, now) in changed.items()
    )


def in_words(value: Any) -> str:
    """A setting's value as a person reads it: on, 4, 0.1, rope."""
    if value is None:
        return "unset"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 1_000 else f"{value:g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
