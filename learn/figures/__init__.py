"""The figures of the chapters, by name: functions without required arguments that return a plotly figure.

Each module here holds the figures of a few chapters and lists them in FIGURES. What a person can move on the Learn page
is a keyword argument with a default; the chapter shows the default.
"""

from collections.abc import Callable
from importlib import import_module

import plotly.graph_objects as go

MODULES = ("text", "attention", "norms", "model", "learning", "larger")
Figure = Callable[..., go.Figure]


def figure(name: str) -> Figure:
    """The function that draws it.

    Raises:
        KeyError: if no module lists a figure of that name.
    """
    for module in MODULES:
        if name in (listed := import_module(f"learn.figures.{module}").FIGURES):
            found: Figure = listed[name]
            return found
    raise KeyError(f"no figure {name!r}; learn/figures lists it under FIGURES")
