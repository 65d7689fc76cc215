"""All runs as a table that is also the selector: what is ticked here is compared below.

Streamlit knows a ticked row by its place alone. Rows come, go and are filtered, so what is ticked is kept here by the
ids of the runs, and a table with other rows is another widget that begins with their places.
"""

import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pandas as pd
import streamlit as st

from runs.summaries import Summary, change_sentence
from ui import charts, picked, steady_choice
from ui.picked import Picked
from ui.run_picker import made_at

FILTER = "compare_filter"  # session key


def pick(summaries: Sequence[Summary], theme: str) -> Picked:
    """Draw filter, reference and table; what is ticked, and what it is measured by."""
    ticked = picked.begin(summaries)
    with st.container(horizontal=True, vertical_alignment="bottom", key="compare_controls"):
        words = st.text_input(
            "Filter", key=FILTER, persist_state="session", placeholder="name, note, state, what changed",
            help="Shows the runs that have all of these words; what is ticked stays ticked. Typical: alibi finished.",
        ).lower().split()  # fmt: skip
        chosen = steady_choice.choose("Reference", names_of(summaries), key=picked.REFERENCE)
    reference = next((summary for summary in summaries if summary.run.id == chosen), summaries[0])
    _draw([summary for summary in summaries if _matches(summary, reference, words)], reference, ticked, theme)
    picked.settle(summaries, ticked)
    found = Picked(summaries, [summary for summary in summaries if summary.run.id in ticked], reference)
    picked.write_address(found)
    return found


def names_of(summaries: Sequence[Summary]) -> dict[str, str]:
    """The name of each run by its id; runs of one name are told apart by when they were made."""
    often = Counter(summary.label.name for summary in summaries)
    return {
        summary.run.id: summary.label.name + (f" · {made_at(summary.run.id)}" if often[summary.label.name] > 1 else "")
        for summary in summaries
    }


def _matches(summary: Summary, reference: Summary, words: Sequence[str]) -> bool:
    parts = (
        summary.label.name, summary.label.note, summary.status.state, summary.run.id, summary.group or "",
        change_sentence(reference, summary), "starred" if summary.label.star else "",
    )  # fmt: skip
    text = " ".join(parts).lower()
    return all(word in text for word in words)


def _draw(shown: Sequence[Summary], reference: Summary, ticked: set[str], theme: str) -> None:
    """The table; ticks that were made or taken away are in `ticked` afterwards."""
    ids = [summary.run.id for summary in shown]
    if not ids:
        st.caption("No run has all of these words.")
        return
    key = f"runs-{zlib.crc32(' '.join(ids).encode())}"
    ticks: Any = {"selection": {"rows": [row for row, run_id in enumerate(ids) if run_id in ticked]}}
    if st.session_state.pop(picked.TICKED_ANEW, False):
        st.session_state[key] = ticks
    event: Any = st.dataframe(
        table(shown, reference, theme), key=key, hide_index=True,
        on_select="rerun", selection_mode="multi-row", selection_default=ticks,
        column_config=COLUMNS, placeholder="–",
        alt="All runs, one a row, with their numbers; ticked rows are compared below.",
    )  # fmt: skip
    now = {ids[row] for row in event.selection.rows if row < len(ids)}
    ticked.difference_update(set(ids) - now)
    ticked.update(now)


def table(summaries: Sequence[Summary], reference: Summary, theme: str) -> pd.DataFrame:
    """What the table shows, as numbers that can be sorted; first what a narrow screen must not cut off."""
    return pd.DataFrame(
        [
            {
                "color": dot(charts.run_color(summary.label, theme)),
                "star": "★" if summary.label.star else "",
                "name": summary.label.name,
                "loss": summary.best_loss_nats,
                "bits": summary.best_bits_per_byte,
                "changed": change_sentence(reference, summary),
                "state": summary.status.state,
                "made": _made(summary.run.id),
                "parameters": summary.parameters,
                "tokens": summary.tokens_seen or None,
                "speed": summary.tokens_per_second,
                "size": summary.size_bytes,
            }
            for summary in summaries
        ]
    )


def _made(run_id: str) -> datetime | None:
    try:
        return datetime.strptime(run_id[:14], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None


def dot(color: str) -> str:
    """A disc in a run's colour, as an address that holds the picture itself."""
    disc = f'<circle cx="8" cy="8" r="6" fill="{color}"/>'
    picture = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">{disc}</svg>'
    return f"data:image/svg+xml,{quote(picture)}"


COLUMNS: Mapping[str, Any] = {
    "color": st.column_config.ImageColumn("", width=36, pinned=True, help="The colour of the run on every page."),
    "star": st.column_config.TextColumn("★", width=32, pinned=True, help="Runs that you starred."),
    "name": st.column_config.TextColumn("Name", width=128, pinned=True),
    "changed": st.column_config.TextColumn("What changed", width=276, help="Relative to the reference."),
    "parameters": st.column_config.NumberColumn("Parameters", format="compact", width=92),
    "tokens": st.column_config.NumberColumn("Tokens", format="compact", width=76, help="Trained on so far."),
    "loss": st.column_config.NumberColumn(
        "Best loss", format="%.4f", width=82, help="Lowest validation loss, in nats per token of the run's tokenizer."
    ),
    "bits": st.column_config.NumberColumn(
        "Bits/byte", format="%.4f", width=82, help="The same per byte of text: comparable between tokenizers."
    ),
    "speed": st.column_config.NumberColumn("Tokens/s", format="compact", width=80, help="Mean over the training."),
    "state": st.column_config.TextColumn("State", width=80),
    "size": st.column_config.NumberColumn("Size", format="bytes", width=76, help="What deleting it frees."),
    "made": st.column_config.DatetimeColumn("Made", format="distance", width=122),
}
