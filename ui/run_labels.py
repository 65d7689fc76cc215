"""A person's words about a run: its name, note, star and colour; and ways to other pages, and to get rid of it."""

import streamlit as st

from runs.folder import RunFolder
from runs.names import COLORS, NAME_LIMIT, NOTE_LIMIT
from runs.summaries import Summary
from ui import deleting
from ui.words import file_size

TRAIN, GENERATE, COMPARE = "pages/train_model.py", "pages/generate_text.py", "pages/compare_runs.py"
INSIDE = "pages/look_inside.py"
COLOR_NAMES = ("teal", "orange", "blue", "magenta", "olive", "green", "violet")
PROBLEM = "label_problem"  # session key
assert len(COLOR_NAMES) == COLORS


def draw_menu(summary: Summary) -> None:
    """A button with everything that can be done to a run here; its content is made when it is opened."""
    run, label = summary.run, summary.label
    menu = st.popover(
        "\u200b", icon=":material/more_horiz:", type="tertiary", key=f"menu-{run.id}", on_change="rerun",
        help="Rename, note, star, colour, delete.",
    )  # fmt: skip
    if not menu.open:
        return
    with menu:
        st.text_input(
            "Name", label.name, key=f"name-{run.id}", max_chars=NAME_LIMIT, on_change=_write, args=(run, "name"),
            help="Any words; empty brings back the friendly name. Typical: alibi-deep.",
        )  # fmt: skip
        st.text_area(
            "Note", label.note, key=f"note-{run.id}", max_chars=NOTE_LIMIT, height=72, on_change=_write,
            args=(run, "note"), help="What you want to remember of it. Typical: first try with a longer text.",
        )  # fmt: skip
        st.pills(
            "Colour", range(COLORS), default=label.color, key=f"color-{run.id}", required=True,
            format_func=COLOR_NAMES.__getitem__, on_change=_write, args=(run, "color"),
            help="The colour of this run on every page. Typical: left as it is.",
        )  # fmt: skip
        st.toggle("Starred", label.star, key=f"star-{run.id}", on_change=_write, args=(run, "star"))
        with st.container(horizontal=True, vertical_alignment="center"):
            st.page_link(TRAIN, label="Open", icon=":material/show_chart:", query_params={"run": run.id})
            if summary.status.last_checkpoint:
                st.page_link(GENERATE, label="Generate", icon=":material/edit_note:", query_params={"run": run.id})
                st.page_link(INSIDE, label="Inside", icon=":material/search_insights:", query_params={"run": run.id})
            deleting.draw_button(
                run, live=summary.status.live, label=f"Delete, {file_size(summary.size_bytes)}", then=COMPARE
            )
        if problem := st.session_state.pop(PROBLEM, None):
            st.error(problem)


def _write(run: RunFolder, field: str) -> None:
    """Store what a control of the menu says."""
    try:
        run.write_label(**{field: st.session_state[f"{field}-{run.id}"]})
    except OSError as error:
        st.session_state[PROBLEM] = f"This could not be written: {error.strerror or error}."
