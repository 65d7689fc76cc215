"""config.json of Hugging Face in our words: how one key of theirs, or several together, say a field of ours.

Each kind of key reads and writes. `read` gets their whole table and gives fields of `ModelConfig`; `write` gets a
configuration of ours and gives their keys. A key writes what it can: what a family cannot say is found by reading back
what was written (interop/family.py). Positions, windows and experts have kinds of their own in the files beside this.
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
    def read(self, theirs: Values, fields: Values) -> dict[str, Any]:
        """Fields of ours; `fields` are those that were read before, from the keys above this one in the table.

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
    also: str = ""
    """An older spelling of the key, read where the first one is missing."""

    @property
    def names(self) -> tuple[str, ...]:
        return (self.theirs, self.also) if self.also else (self.theirs,)

    def read(self, theirs: Values, fields: Values) -> dict[str, Any]:
        return {self.ours: theirs.get(self.theirs, theirs.get(self.also, self.default))}

    def write(self, config: ModelConfig) -> dict[str, Any]:
        return {self.theirs: getattr(config, self.written or self.ours)}


@dataclass(frozen=True)
class Changed(Key):
    """A key whose value is said in another way: their logits_scaling divides, our logit_scale multiplies."""

    theirs: str
    ours: str
    default: Any
    to_ours: Callable[[Any, Values], Any]
    """From its value and the fields that were read before."""
    to_theirs: Callable[[ModelConfig], Any]

    @property
    def names(self) -> tuple[str, ...]:
        return (self.theirs,)

    def read(self, theirs: Values, fields: Values) -> dict[str, Any]:
        value = theirs.get(self.theirs, self.default)
        return {self.ours: attempt(lambda: self.to_ours(value, fields), self.theirs, value)}

    def write(self, config: ModelConfig) -> dict[str, Any]:
        return {self.theirs: self.to_theirs(config)}


@dataclass(frozen=True)
class Repeated(Key):
    """A key that must say again what another one has said: a model where they differ is not here."""

    theirs: str
    ours: str

    @property
    def names(self) -> tuple[str, ...]:
        return (self.theirs,)

    def read(self, theirs: Values, fields: Values) -> dict[str, Any]:
        if theirs.get(self.theirs, fields[self.ours]) != fields[self.ours]:
            raise refusal(self.theirs, theirs[self.theirs])
        return {}

    def write(self, config: ModelConfig) -> dict[str, Any]:
        return {self.theirs: getattr(config, self.ours)}


@dataclass(frozen=True)
class Computed(Key):
    """A field for which there is no key, or one that may be missing: their code computes it from the others."""

    ours: str
    value: Callable[[Values], Any]
    """From the fields that were read before."""
    theirs: str = ""
    """The key that wins where it is there and not null."""

    @property
    def names(self) -> tuple[str, ...]:
        return (self.theirs,) if self.theirs else ()

    def read(self, theirs: Values, fields: Values) -> dict[str, Any]:
        given = theirs.get(self.theirs)
        computed = attempt(lambda: self.value(fields), self.ours, None) if given is None else given
        return {self.ours: computed}

    def write(self, config: ModelConfig) -> dict[str, Any]:
        return {self.theirs: getattr(config, self.ours)} if self.theirs else {}


@dataclass(frozen=True)
class Inside(Key):
    """Keys that stand in a table of their own inside of config.json: attn_config of MPT."""

    theirs: str
    keys: tuple[Key, ...]
    only: Mapping[str, Any]
    """Keys in there that another value would make another computation of: their one value."""

    @property
    def names(self) -> tuple[str, ...]:
        return (self.theirs,)

    def read(self, theirs: Values, fields: Values) -> dict[str, Any]:
        inner = theirs.get(self.theirs, {})
        if not isinstance(inner, Mapping):
            raise refusal(self.theirs, inner)
        for name, value in self.only.items():
            if inner.get(name, value) != value:
                raise refusal(f"{self.theirs}.{name}", inner[name])
        found: dict[str, Any] = {}
        for key in self.keys:
            found |= key.read(inner, dict(fields) | found)
        return found

    def write(self, config: ModelConfig) -> dict[str, Any]:
        inner: dict[str, Any] = {}
        for key in self.keys:
            inner |= key.write(config)
        return {self.theirs: inner}


# (gated or not, our mlp, our gelu_form or "") -> their names for the activation, the usual one first.
ACTIVATIONS = {
    (False, "gelu", "tanh"): ("gelu_pytorch_tanh", "gelu_new", "gelu_fast"),
    (False, "gelu", "exact"): ("gelu",),
    (False, "relu", ""): ("relu",),
    (False, "relu2", ""): ("relu2",),
    (False, "silu", ""): ("silu", "swish"),
    (True, "swiglu", ""): ("silu", "swish"),
    (True, "geglu", "tanh"): ("gelu_pytorch_tanh", "gelu_new", "gelu_fast"),
    (True, "geglu", "exact"): ("gelu",),
    (True, "reglu", ""): ("relu",),
}


@dataclass(frozen=True)
class Activation(Key):
    """Which MLP: their name of the activation, and whether the family's MLP is gated."""

    theirs: str
    default: str
    gated: bool
    meaning: Mapping[str, str] | None = None
    """Names that this family takes for others: the "gelu" of Gemma's first files is the tanh form."""

    @property
    def names(self) -> tuple[str, ...]:
        return (self.theirs,)

    def read(self, theirs: Values, fields: Values) -> dict[str, Any]:
        given = theirs.get(self.theirs)
        name = self.default if given is None else given
        meant = (self.meaning or {}).get(name, name) if isinstance(name, str) else name
        for (gated, mlp, form), known in ACTIVATIONS.items():
            if gated == self.gated and meant in known:
                return {"mlp": mlp} | ({"gelu_form": form} if form else {})
        raise refusal(self.theirs, name)

    def write(self, config: ModelConfig) -> dict[str, Any]:
        for (gated, mlp, form), known in ACTIVATIONS.items():
            if gated == self.gated and config.mlp == mlp and form in ("", config.gelu_form):
                return {self.theirs: self.default if self.default in known else known[0]}
        return {}


def attempt(compute: Callable[[], Any], key: str, value: Any) -> Any:
    """What `compute` gives.

    Raises:
        ConfigError: it cannot compute with such a value.
    """
    try:
        return compute()
    except (TypeError, ValueError, ArithmeticError, KeyError):
        raise refusal(key, value) from None


def refusal(key: str, value: Any) -> ConfigError:
    """The sentence for a value that cannot be said in our words."""
    return ConfigError([Problem(key, f"{key} {str(value)[:60]!r} is not something this version can compute")])


def whole(number: float) -> float:
    """The same number, as an int where it is one but for rounding: some of their classes refuse 256.0."""
    return round(number) if abs(number - round(number)) < 1e-6 * max(1.0, abs(number)) else number
