"""One run's whole configuration, as it stands in its config.json."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from config.catalog import IMPLEMENTATIONS
from config.data_config import DataConfig
from config.errors import ConfigError, Problem
from config.fields import Settings, find_problems
from config.lora_config import LoraConfig
from config.model_config import ModelConfig
from config.parent import Parent
from config.train_config import TrainConfig

FORMAT = 1
PARTS: dict[str, type[Settings]] = {
    "model": ModelConfig,
    "data": DataConfig,
    "training": TrainConfig,
    "lora": LoraConfig,
}


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Model, implementation, data and training of one run; the checkpoint it began from and its adapters, if any.

    `model.d_vocab` is a placeholder until the tokenizer exists: config.json says null there, because the
    vocabulary follows the tokenizer that the worker trains (`with_vocabulary` puts the real number in).
    """

    model: ModelConfig
    implementation: str = "fused"
    data: DataConfig = field(default_factory=DataConfig)
    training: TrainConfig = field(default_factory=TrainConfig)
    preset: str | None = None
    size: str | None = None
    parent: Parent | None = None
    lora: LoraConfig = field(default_factory=LoraConfig)

    def __post_init__(self) -> None:
        if self.implementation not in IMPLEMENTATIONS:
            raise ConfigError([_implementation_problem(self.implementation)])

    def with_vocabulary(self, d_vocab: int) -> ModelConfig:
        """The model with the vocabulary of its tokenizer."""
        return self.model.replace(d_vocab=d_vocab)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        values = {
            "format": FORMAT,
            "preset": self.preset,
            "size": self.size,
            "model": self.model.to_dict() | {"d_vocab": None},
            "implementation": self.implementation,
            "data": self.data.to_dict(),
            "training": self.training.to_dict(),
        }
        values |= {"parent": self.parent.to_dict()} if self.parent else {}
        return values | ({"lora": self.lora.to_dict()} if self.lora.is_on else {})

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "RunConfig":
        """Read what `to_dict` wrote, or what a person or another program wrote in its place.

        Raises:
            ConfigError: all problems of all parts at once.
        """
        if not isinstance(values, Mapping):
            raise ConfigError([Problem("config", f"the configuration is not a table but {type(values).__name__}")])
        if values.get("format") != FORMAT:
            message = f"format {str(values.get('format'))[:40]!r} is not one this version reads ({FORMAT})"
            raise ConfigError([Problem("format", message)])
        problems: list[Problem] = []
        parts: dict[str, dict[str, Any]] = {}
        for name, part in PARTS.items():
            given = values.get(name, {})
            if not isinstance(given, Mapping):
                problems.append(Problem(name, f"{name} is not a table but {type(given).__name__}"))
                continue
            parts[name] = {key: value for key, value in given.items() if (key, value) != ("d_vocab", None)}
            problems += find_problems(part, parts[name])
        implementation = values.get("implementation", "fused")
        if implementation not in IMPLEMENTATIONS:
            problems.append(_implementation_problem(implementation))
        known = {"format", "preset", "size", "model", "implementation", "data", "training", "parent", "lora"}
        problems += [Problem(str(name), f"{str(name)[:60]}: unknown part") for name in values if name not in known]
        for name in ("preset", "size"):
            if not isinstance(values.get(name), str | None):
                problems.append(Problem(name, f"{name} must be a word, not {type(values[name]).__name__}"))
        parent = None
        try:
            parent = Parent.from_dict(values["parent"]) if values.get("parent") is not None else None
        except ConfigError as error:
            problems += error.problems
        if problems:
            raise ConfigError(problems)
        return cls(
            model=ModelConfig(**parts["model"]),
            implementation=implementation,
            data=DataConfig(**parts["data"]),
            training=TrainConfig(**parts["training"]),
            preset=values.get("preset"),
            size=values.get("size"),
            parent=parent,
            lora=LoraConfig(**parts["lora"]),
        )


def _implementation_problem(given: Any) -> Problem:
    return Problem("implementation", f"implementation {str(given)[:40]!r} is not one of {', '.join(IMPLEMENTATIONS)}")
