"""Learn: chapters with figures that move and numbers that were computed."""

import streamlit as st

from ui import learn_engine as engine
from ui import learn_progress, learn_reader, learn_walk

WALK = "walk"  # not a chapter: a sentence followed through a model
PARTS = {
    "Begin": ("00", WALK),
    "From text to numbers": ("01", "02"),
    "The parts": ("03", "04", "05", "06"),
    "The machine": ("07", "08", "09"),
    "Learning and writing": ("10", "11"),
    "Going on": ("12", "13", "14", "15"),
}
ADDRESS = "chapter"
QUESTIONS = 5  # of each chapter


def open_chapter(slug: str) -> None:
    """Show this chapter, and put it into the address."""
    st.query_params[ADDRESS] = slug


def draw_contents(titles: dict[str, str], opened: str, done: dict[str, list[int]]) -> None:
    """All chapters by part; a mark on those whose quiz is done."""
    for part, numbers in PARTS.items():
        with st.container(gap=None):
            st.caption(part)
            for slug in (slug for slug in titles if slug in numbers or slug[:2] in numbers):
                st.button(
                    titles[slug],
                    key=f"open-{slug}",
                    type="primary" if slug == opened else "tertiary",
                    icon=":material/check:" if len(done.get(slug, [])) >= QUESTIONS else None,
                    on_click=open_chapter,
                    args=(slug,),
                    width="stretch",
                )


def draw_choice(titles: dict[str, str], opened: str) -> None:
    """The same in one line, for a narrow window (ui/style.css shows one of the two)."""
    slugs = list(titles)
    st.session_state["chapter-choice"] = opened
    st.selectbox(
        "Chapter", slugs, format_func=titles.__getitem__, key="chapter-choice",
        on_change=lambda: open_chapter(st.session_state["chapter-choice"]),
    )  # fmt: skip


chapters = {chapter.slug: chapter for chapter in engine.chapters()}
asked = st.query_params.get(ADDRESS, "")
first, *others = chapters
titles = {first: chapters[first].title, WALK: "Walk through a sentence"}
titles |= {slug: chapters[slug].title for slug in others}
opened = asked if asked in titles else first
st.title("Learn", anchor=False)
st.html('<p class="lead">How a language model works, one question at a time. Every number here was computed.</p>')
if asked and asked not in titles:
    st.warning("There is no chapter of that name; this is the first one.")
with st.container(key="learn"):
    left, right = st.columns([3, 9], gap="large")
with left:
    with st.container(key="contents"):
        draw_contents(titles, opened, learn_progress.read())
    with st.container(key="chapter_choice"):
        draw_choice(titles, opened)
with right, st.container(key="chapter"):
    if opened == WALK:
        learn_walk.draw()
    else:
        learn_reader.draw(chapters[opened])
    order = list(titles)
    if after := order[order.index(opened) + 1 :]:
        st.button(
            f"Next: {titles[after[0]]}", key="next-chapter", icon=":material/arrow_forward:",
            on_click=open_chapter, args=(after[0],),
        )  # fmt: skip
