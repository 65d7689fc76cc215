"""How config.json says what differs from layer to layer: windows, layers without positions, layers with experts.

Our word for each is a pattern of letters that is repeated over the layers (config/patterns.py); theirs are lists with a
word for each layer, or rules. A list becomes the shortest pattern that repeats to it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from config.model_config import ModelConfig
from config.patterns import spread
from interop.keys import Key, Values, attempt, refusal

WORDS = {"f": "full_attention", "w": "sliding_attention"}


@dataclass(frozen=True)
class WindowEverywhere(Key):
    """Every layer looks through the window if there is one: Mistral."""

    default: int | None = None
    switch: str = ""
    """A key that has to be true beside it, in families that have one."""

    @property
    def names(self) -> tuple[str, ...]:
        return ("sliding_window", self.switch) if self.switch else ("sliding_window",)

    def read(self, theirs: Values, fields: Values) -> dict[str, Any]:
        is_on = not self.switch or theirs.get(self.switch, False)
        window = theirs.get("sliding_window", self.default) if is_on else None
        return {"attention_pattern": "f" if window is None else "w", "window": window}

    def write(self, config: ModelConfig) -> dict[str, Any]:
        everywhere = set(spread(config.attention_pattern, config.n_layers)) == {"w"}
        said = {"sliding_window": config.window if everywhere else None}
        return said | {self.switch: everywhere} if self.switch else said


@dataclass(frozen=True)
class LayerTypes(Key):
    """A word for each layer: layer_types. Where it is missing, a pattern of the family."""

    default: Callable[[Values, int], str]
    """Their table and the number of layers -> the pattern that their class takes where there is no list."""
    window: int | None
    """The window that their class takes where there is none."""
    switch: str = ""
    """A key that has to be true for windows, in families that have one."""

    @property
    def names(self) -> tuple[str, ...]:
        names = (
            "layer_types",
            "sliding_window",
            "sliding_window_pattern",
            "_sliding_window_pattern",
            "max_window_layers",
        )
        return (*names, self.switch)

    def read(self, theirs: Values, fields: Values) -> dict[str, Any]:
        n_layers = fields["n_layers"]
        words = theirs.get("layer_types")
        letters = {word: letter for letter, word in WORDS.items()}
        if words is None:
            pattern = attempt(lambda: self.default(theirs, n_layers), "layer_types", words)
        else:
            pattern = attempt(lambda: "".join(letters[word] for word in words), "layer_types", words)
            if len(pattern) != n_layers:
                raise refusal("layer_types", words)
        window = theirs.get("sliding_window", self.window) if "w" in pattern else None
        return {"attention_pattern": pattern, "window": window}

    def write(self, config: ModelConfig) -> dict[str, Any]:
        letters = spread(config.attention_pattern, config.n_layers)
        with_window = "w" in letters
        said: dict[str, Any] = {"layer_types": [WORDS[letter] for letter in letters]}
        said["sliding_window"] = config.window if with_window else self.window
        return said | {self.switch: with_window} if self.switch else said


def one_full_in(number: int) -> Callable[[Values, int], str]:
    """All layers but every so many-th look through a window; older files may say another number."""

    def pattern(theirs: Values, n_layers: int) -> str:
        period = theirs.get("sliding_window_pattern", theirs.get("_sliding_window_pattern", number))
        return "w" * (period - 1) + "f"

    return pattern


def from_layer_on(theirs: Values, n_layers: int) -> str:
    """Qwen: a window in the layers from max_window_layers on, if windows are switched on."""
    if not theirs.get("use_sliding_window", False) or theirs.get("sliding_window") is None:
        return "f"
    full = min(n_layers, theirs.get("max_window_layers", 28))
    return "f" * full + "w" * (n_layers - full)


@dataclass(frozen=True)
class NoPositionLayers(Key):
    """SmolLM3: no_rope_layers has, against its name, a 1 for each layer that turns queries and keys."""

    @property
    def names(self) -> tuple[str, ...]:
        return ("no_rope_layers", "no_rope_layer_interval")

    def read(self, theirs: Values, fields: Values) -> dict[str, Any]:
        flags = theirs.get("no_rope_layers")
        if flags is None:
            interval = theirs.get("no_rope_layer_interval", 4)
            pattern = attempt(lambda: "p" * (interval - 1) + "n", "no_rope_layer_interval", interval)
        else:
            pattern = attempt(lambda: "".join("np"[flag] for flag in flags), "no_rope_layers", flags)
        return {"position_pattern": pattern}

    def write(self, config: ModelConfig) -> dict[str, Any]:
        return {"no_rope_layers": ["np".index(letter) for letter in spread(config.position_pattern, config.n_layers)]}


@dataclass(frozen=True)
class PositionsInWindows(Key):
    """Cohere 2 turns queries and keys where it looks through a window, and nowhere else. There is no key for it."""

    names = ()

    def read(self, theirs: Values, fields: Values) -> dict[str, Any]:
        return {"position_pattern": fields["attention_pattern"].replace("w", "p").replace("f", "n")}

    def write(self, config: ModelConfig) -> dict[str, Any]:
        return {}


@dataclass(frozen=True)
class GlobalLocal(Key):
    """GPT-Neo: [[["global", "local"], 12]] is the two words twelve times over."""

    names = ("attention_types", "attention_layers", "window_size")

    def read(self, theirs: Values, fields: Values) -> dict[str, Any]:
        types = theirs.get("attention_types") or [[["global", "local"], 12]]
        letters = {"global": "f", "local": "w"}

        def pattern() -> str:
            return "".join(letters[word] for words, times in types for word in words * times)[: fields["n_layers"]]

        found = attempt(pattern, "attention_types", types)
        if len(found) < fields["n_layers"]:
            raise refusal("attention_types", types)
        return {"attention_pattern": found, "window": theirs.get("window_size", 256)}

    def write(self, config: ModelConfig) -> dict[str, Any]:
        words = {"f": "global", "w": "local"}
        letters = spread(config.attention_pattern, config.n_layers)
        said = {"attention_types": [[[words[letter] for letter in letters], 1]]}
        return said | {"window_size": config.window if "w" in letters else 256}
