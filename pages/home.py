"""Home: what this is, three architectures side by side, one button that trains at once, and what was trained before."""

import re
from pathlib import Path

import streamlit as st

from config.demos import load_demo
from config.presets import PRESET_NAMES, load_preset, preset_info
from ui import architecture, builder, deleting, differences, form, import_box, preset_buttons, run_cards, words
from ui.starting import start_run

README = Path(__file__).parent.parent / "README.md"
SENTENCE = (
    "Click an architecture, change any part of it, train it on your own text and watch it learn. "
    "Every part is one short file that you can read."
)


def open_run(run_id: str) -> None:
    """Go to the page of a run."""
    st.switch_page("pages/train_model.py", query_params={"run": run_id})


def draw_opening() -> None:
    """One sentence and two ways to begin."""
    st.title("LLM From Scratch", anchor=False)
    st.html(f'<p class="lead">{SENTENCE}</p>')
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("Train a tiny LLaMA now", type="primary", icon=":material/play_arrow:", key="demo"):
            run, problem = start_run(load_demo("quick"), "uv run train.py --demo quick")
            if run:
                open_run(run.id)
            st.error(problem)
        st.page_link("pages/train_model.py", label="Build your own", icon=":material/tune:")


def draw_architectures() -> None:
    """The three blocks, what differs in the accent colour."""
    with st.container(key="architectures"):
        columns = st.columns(len(PRESET_NAMES), gap="medium")
    vocabulary = builder.first_vocabulary()  # the same for all three, and what Train shows for them
    for column, name in zip(columns, PRESET_NAMES, strict=True):
        info = preset_info(name)
        model = load_preset(name).replace(d_vocab=vocabulary)
        with column, st.container(key=f"block-{name}", gap="xsmall"):
            st.subheader(info.title, anchor=False)
            st.caption(info.summary)
            architecture.show(model, key=f"drawing-{name}", marked=differences.marked_slots(name), whole=False)
            if st.button(
                f"Start from {info.title}", key=f"build-{name}", icon=":material/arrow_forward:", type="tertiary"
            ):
                form.fill_defaults()
                preset_buttons.fill_defaults()
                preset_buttons.apply_preset(name, preset_buttons.FIRST_SIZE)
                st.switch_page("pages/train_model.py")


def draw_runs() -> None:
    """What was trained last, or an invitation."""
    st.space("small")
    st.subheader("Latest runs", anchor=False)
    if not run_cards.draw():
        with st.container(border=True, key="no-runs"):
            st.markdown(
                "**No runs yet.** The button at the top trains a tiny LLaMA in about a minute; it appears here at once."
            )
    import_box.draw()


def draw_readme(text: str) -> None:
    """Its first paragraphs, and each of its chapters behind a click: together they are as long as ten screens."""
    st.space("small")
    opening, *chapters = re.split(r"^## ", words.without_local_links(text), flags=re.MULTILINE)
    st.subheader("Read me", anchor=False)
    st.markdown(opening.partition("\n")[2])
    with st.container(gap="xsmall", key="chapters"):
        for chapter in chapters:
            title, _, body = chapter.partition("\n")
            with st.expander(words.literal(title)):
                st.markdown(body)


deleting.tell()
draw_opening()
draw_architectures()
draw_runs()
st.space("small")
st.subheader("What sets them apart", anchor=False)
st.html(differences.table())
if README.exists():
    draw_readme(README.read_text(encoding="utf-8"))
