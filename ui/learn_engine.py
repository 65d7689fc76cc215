"""The door from the Learn page to the chapters, their figures, and the numbers inside a small model."""

import json
from dataclasses import dataclass
from typing import Any

import streamlit as st

HEIGHT = 420


@dataclass(frozen=True)
class Moved:
    """Something that can be moved in a figure: an argument, its limits and where it stands at first."""

    argument: str
    label: str
    minimum: float
    maximum: float
    step: float
    default: float
    help: str


@st.cache_resource(show_spinner=False)
def chapters() -> tuple[Any, ...]:
    """All chapters, in order; read once."""
    from learn.chapter import read_chapters

    return read_chapters()


@st.cache_data(show_spinner=False)
def controls(name: str) -> tuple[Moved, ...]:
    """What can be moved in a figure."""
    from learn.figures import controls as listed

    return tuple(
        Moved(argument, slider.label, slider.minimum, slider.maximum, slider.step, default, slider.help)
        for argument, (slider, default) in listed(name).items()
    )


@st.cache_data(max_entries=128, show_spinner=False)
def figure(name: str, values: tuple[tuple[str, float], ...]) -> dict[str, Any]:
    """A figure as `ui.plot` takes it, in the colours of the page."""
    from learn.figures import figure as find

    drawn = find(name)(**dict(values))
    drawn.update_layout(
        template="none", height=HEIGHT, margin={"l": 64, "r": 16, "t": 48, "b": 56}, uirevision=name,
        legend={"orientation": "h", "y": -0.22}, title={"x": 0, "xref": "paper", "font": {"size": 14}},
    )  # fmt: skip
    plain: dict[str, Any] = json.loads(drawn.to_json())
    plain["layout"].pop("template", None)
    return plain


@st.cache_resource(max_entries=2, show_spinner="Opening the model …")
def _subject(path: str, stamp: str) -> Any:
    """A checkpoint with its activation points; one for all sessions, only read."""
    from interpret.subject import open_subject

    return open_subject(path)


@st.cache_data(max_entries=32, show_spinner="Following the sentence …")
def walk(path: str, stamp: str, text: str) -> tuple[Any, str]:
    """A text on its way through a checkpoint, or None and why not."""
    from config.errors import CheckpointError, RunError, TextError
    from learn.walk import walk as follow

    try:
        return follow(_subject(path, stamp), text), ""
    except (TextError, CheckpointError, RunError) as error:
        return None, str(error)


def explain(what: str, path: str, stamp: str, found: Any, *place: int) -> str:
    """The formula of one number with its values: what is "share", "embedding", "probability", "logit" or "length"."""
    from learn import walk as walking

    if what == "logit":
        return walking.explain_logit(_subject(path, stamp), found, *place)
    explanations: dict[str, Any] = {
        "share": walking.explain_share, "embedding": walking.explain_embedding,
        "probability": walking.explain_probability, "length": walking.explain_length,
    }  # fmt: skip
    explained: str = explanations[what](found, *place)
    return explained
