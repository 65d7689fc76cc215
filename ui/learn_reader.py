"""One chapter on the screen: its sections in order, figures that can be moved, a solution to open, a quiz."""

from typing import Any

import streamlit as st

from ui import learn_engine as engine
from ui import learn_quiz, plot
from ui.charts import RUN_COLORS
from ui.live import theme

TRAIN = "pages/train_model.py"
QUIET = ("Paper", "In this repository")  # side by side at the end


def draw(chapter: Any) -> None:
    """The chapter, top to bottom."""
    st.header(chapter.title, anchor=False)
    for section in chapter.sections:
        if section.title in QUIET:
            continue
        if section.title == "Solution":
            with st.expander("Solution"):
                draw_pieces(section)
            continue
        if section.title == "The question":
            st.markdown(f"*{' '.join(section.text.split())}*")
            continue
        st.subheader(section.title, anchor=False)
        if section.title == "Quiz":
            learn_quiz.draw(chapter)
        else:
            draw_pieces(section)
            if wanted := section.toml("try"):
                draw_link(wanted)
    draw_sources(chapter)


def draw_pieces(section: Any) -> None:
    """Text and figures, in the order in which they are written."""
    for kind, content in section.pieces():
        if kind == "text":
            st.markdown(content)
        else:
            draw_figure(content)


@st.fragment
def draw_figure(name: str) -> None:
    """A figure with a slider for everything that can be moved in it."""
    with st.container(key=f"figure-{name}", border=True):
        moved = engine.controls(name)
        values = []
        for place, control in zip(st.columns(len(moved), gap="medium"), moved, strict=True):
            whole = isinstance(control.default, int)
            number = int if whole else float
            values.append(
                (
                    control.argument,
                    place.slider(
                        control.label, number(control.minimum), number(control.maximum), control.default,
                        number(control.step), help=control.help, key=f"{name}-{control.argument}",
                        persist_state="session",
                    ),
                )
            )  # fmt: skip
        drawn = engine.figure(name, tuple(values))
        colors = RUN_COLORS[theme()]
        layout = {"colorway": colors, **drawn["layout"]}
        plot.show({**drawn, "layout": layout}, key=f"plot-{name}", alt=layout["title"]["text"])


def draw_link(wanted: dict[str, Any]) -> None:
    """A link that opens Train with these settings."""
    st.page_link(TRAIN, label=f"Try: {wanted['label']}", icon=":material/experiment:", query_params=wanted["words"])


def draw_sources(chapter: Any) -> None:
    """The paper and the files, quietly at the end."""
    titles = [section.title for section in chapter.sections]
    if not set(QUIET) <= set(titles):
        return
    st.divider()
    for place, title in zip(st.columns(2, gap="large"), QUIET, strict=True):
        place.markdown(f"**{title}**")
        place.markdown(chapter.section(title).text)
