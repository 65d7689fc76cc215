"""The figures of the chapters, by name: functions without required arguments that return a plotly figure.

Each module here holds the figures of a few chapters and lists them in FIGURES. A keyword argument that a person can
move on the Learn page has its limits in CONTROLS; its default is what the chapter shows.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import plotly.graph_objects as go

MODULES = ("text", "attention", "norms", "model", "learning", "larger", "inside")
Figure = Callable[..., go.Figure]


@dataclass(frozen=True)
class Slider:
    """What a person can move in a figure: a number between two others."""

    label: str
    minimum: float
    maximum: float
    step: float
    help: str


def figure(name: str) -> Figure:
    """The function that draws it.

    Raises:
        KeyError: if no module lists a figure of that name.
    """
    found: Figure = _listed("FIGURES", name)
    return found


def controls(name: str) -> dict[str, tuple[Slider, float]]:
    """What can be moved in a figure: the slider and the default of each argument.

    Raises:
        KeyError: if no module lists a figure of that name.
    """
    defaults = inspect.signature(figure(name)).parameters
    return {argument: (slider, defaults[argument].default) for argument, slider in _listed("CONTROLS", name).items()}


def _listed(table: str, name: str) -> Any:
    for module in MODULES:
        if name in (listed := getattr(import_module(f"learn.figures.{module}"), table)):
            return listed[name]
    raise KeyError(f"no figure {name!r}; a module of learn/figures lists it under {table}")
