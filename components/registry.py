"""Finds the class for (slot, name, implementation): the catalogue says which file, the file's VARIANTS say which class.

The file is imported when it is first asked for, so a broken component breaks only the models that use it.
"""

from importlib import import_module

from torch import nn

from components.position import Position
from config.catalog import IMPLEMENTATIONS, entry
from config.errors import ConfigError, Problem


def resolve(slot: str, name: str, implementation: str) -> type[nn.Module]:
    """The class of one component, e.g. `resolve("norm", "rmsnorm", "einops")`; build it with a ModelConfig.

    Raises:
        KeyError: if the catalogue has no such component.
        ConfigError: if the component has no such implementation.
    """
    if (slot, name) == ("position", "none"):
        return Position
    line = entry(slot, name)
    if implementation not in line.implementations:
        raise ConfigError([Problem("implementation", unknown_implementation(implementation, line.implementations))])
    variants = import_module(line.file.removesuffix(".py").replace("/", ".")).VARIANTS
    # A file with one component lists its implementations; a file with several lists them under each one's name.
    return variants[implementation] if implementation in variants else variants[name][implementation]


def unknown_implementation(implementation: str, known: tuple[str, ...] = IMPLEMENTATIONS) -> str:
    """The sentence for an implementation that does not exist."""
    return f"implementation {implementation!r} does not exist; choose one of {', '.join(known)}"
