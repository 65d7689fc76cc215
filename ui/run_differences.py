"""The settings in which the ticked runs are not all alike, and nothing else."""

import html
from collections.abc import Sequence

import streamlit as st

from runs.comparison import Difference, find_differences
from runs.summaries import Summary
from ui import charts
from ui.live import theme
from ui.overlay import MOST_DRAWN
from ui.picked import Picked


def draw(picked: Picked) -> None:
    """A row for each setting, a column for each run; the reference first."""
    compared = [summary for summary in (picked.reference, *picked.others) if summary.config][:MOST_DRAWN]
    configs = [summary.config for summary in compared if summary.config]
    rows = find_differences(configs)
    if len(configs) < 2:
        st.caption("Tick another run: its settings are compared with those of the reference.")
    elif not rows:
        st.caption("All of these runs have the same settings.")
    else:
        st.html(f'<div class="wide">{table(compared, rows, theme())}</div>')


def table(compared: Sequence[Summary], rows: Sequence[Difference], theme: str) -> str:
    """The rows by section; what is not as in the reference stands out."""
    heads = "".join(
        f'<th scope="col"><i class="swatch" style="border-color:{charts.run_color(summary.label, theme)}"></i>'
        f"{html.escape(summary.label.name)}</th>"
        for summary in compared
    )
    body, section = "", ""
    for row in rows:
        if row.section != section:
            section = row.section
            body += f'<tr class="section"><th colspan="{len(compared) + 1}">{html.escape(section)}</th></tr>'
        body += f'<tr><th scope="row">{html.escape(row.title)}</th>{_cells(row.words)}</tr>'
    return f'<table class="compared"><thead><tr><td></td>{heads}</tr></thead><tbody>{body}</tbody></table>'


def _cells(words: Sequence[str]) -> str:
    cells = ((' class="odd"' if word != words[0] else "", html.escape(word)) for word in words)
    return "".join(f"<td{mark}>{word}</td>" for mark, word in cells)
