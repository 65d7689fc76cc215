"""config.json of Hugging Face in our words: how one key of theirs, or several together, say a field of ours.

Each kind of key reads and writes. `read` gets their whole table and gives fields of `ModelConfig`; `write` gets a
configuration of ours and gives their keys. A key writes what it can: what a family cannot say is found by reading back
what was written (interop/family.py).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from config.errors import ConfigError, Problem
from config.model_config import ModelConfig

Values = Mapping[str, Any]


class Key(ABC):
    """One or more keys of theirs and the fields of ours that they say."""

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """Their keys that are read here."""

    @abstractmethod
    def read(self, theirs: Values) -> dict[str, Any]:
        """Fields of ours.

        Raises:
            ConfigError: the keys say something that this project does not have.
        """

    @abstractmethod
    def write(self, config: ModelConfig) -> dict[str, Any]:
        """Keys of theirs."""


@dataclass(frozen=True)
class Plain(Key):
    """A key that says the same as a field: hidden_size is d_model."""

    theirs: str
    ours: str
    default: Any = None
    """What their class takes where the key is missing; a null that is there stays a null."""
    written: str = ""
    """Attribute of ModelConfig to write where it is not the field itself: kv_heads, which is never unset."""

    @property
    def names(self) -> tuple[str, ...]:
        return (self.theirs,)

    def read(self, theirs: Values) -> dict[str, Any]:
        return {self.ours: theirs.get(self.theirs, self.default)}

    def write(self, config: ModelConfig) -> dict[str, Any]:
        return {self.theirs: getattr(config, self.written or self.ours)}


@dataclass(frozen=True)
class Changed(Key):
    """A key whose number has to be computed: logits_scaling divides, logit_scale multiplies."""

    theirs: str
    ours: str
    default: Any
    to_ours: Callable[[Any, Values], Any]
    to_theirs: Callable[[ModelConfig], Any]

    @property
    def names(self) -> tuple[str, ...]:
        return (self.theirs,)

    def read(self, theirs: Values) -> dict[str, Any]:
        value = theirs.get(self.theirs, self.default)
        try:
            return {self.ours: self.to_ours(value, theirs)}
        except (TypeError, ValueError, ArithmeticError, KeyError):
            raise refusal(self.theirs, value) from None

    def write(self, config: ModelConfig) -> dict[str, Any]:
        return {self.theirs: self.to_theirs(config)}


ACTIVATIONS = {
    "gelu_new": "tanh", "gelu_pytorch_tanh": "tanh", "gelu_fast": "tanh", "gelu": "exact",
}  # fmt: skip


@dataclass(frozen=True)
class Activation(Key):
    """Which MLP: their name of the bend, with one matrix to widen or two (gated)."""

    theirs: str
    default: str
    gated: bool

    @property
    def names(self) -> tuple[str, ...]:
        return (self.theirs,)

    def read(self, theirs: Values) -> dict[str, Any]:
        name = theirs.get(self.theirs, self.default)
        for (gated, mlp, form), known in self._table().items():
            if gated == self.gated and name in known:
                return {"mlp": mlp} | ({"gelu_form": form} if form else {})
        raise refusal(self.theirs, name)

    def write(self, config: ModelConfig) -> dict[str, Any]:
        for (gated, mlp, form), known in self._table().items():
            if gated == self.gated and config.mlp == mlp and form in ("", config.gelu_form):
                return {self.theirs: self.default if self.default in known else known[0]}
        return {}

    @staticmethod
    def _table() -> dict[tuple[bool, str, str], tuple[str, ...]]:
        """(gated, mlp, gelu_form or nothing) -> their names, the usual one first."""
        return {
            (False, "gelu", "tanh"): ("gelu_pytorch_tanh", "gelu_new", "gelu_fast"),
            (False, "gelu", "exact"): ("gelu",),
            (True, "swiglu", ""): ("silu", "swish"),
        }


@dataclass(frozen=True)
class Rope(Key):
    """The base of the rotation: rope_theta and rope_scaling in files of the hub, rope_parameters since version 5."""

    default_theta: float = 10_000.0

    @property
    def names(self) -> tuple[str, ...]:
        return ("rope_theta", "rope_scaling", "rope_parameters")

    def read(self, theirs: Values) -> dict[str, Any]:
        found = theirs.get("rope_parameters") or theirs.get("rope_scaling") or {}
        if not isinstance(found, Mapping):
            raise refusal("rope_parameters", found)
        kind = found.get("rope_type", found.get("type", "default"))
        if kind != "default":
            raise refusal("rope_type", kind)
        return {"rope_theta": found.get("rope_theta", theirs.get("rope_theta", self.default_theta))}

    def write(self, config: ModelConfig) -> dict[str, Any]:
        if config.position != "rope":
            return {}
        return {"rope_parameters": {"rope_type": "default", "rope_theta": config.rope_theta}}


def refusal(key: str, value: Any) -> ConfigError:
    """The sentence for a value that cannot be said in our words."""
    return ConfigError([Problem(key, f"{key} {str(value)[:60]!r} is not something this version can compute")])
