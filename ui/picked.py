"""What the Compare page compares: all runs in a line each, the ticked ones, the reference; and these in the address."""

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from runs import folder
from runs.folder import RunFolder, list_runs
from runs.summaries import Summary, SummaryBook

# Session keys: the ids of the ticked runs, and whether they are others than the table knows.
TICKED, TICKED_ANEW = "compare_ticked", "compare_ticked_anew"
# The reference, and the one that was proposed: while they are the same, nobody has chosen one.
REFERENCE, PROPOSED = "compare_reference", "compare_reference_proposed"
WRITTEN = "compare_written"  # addresses that this session has written: the browser may say them late
FIRST_TICKED = 3


@dataclass(frozen=True)
class Picked:
    """What the page compares."""

    all: Sequence[Summary]
    chosen: Sequence[Summary]  # the ticked ones, in the order of the table
    reference: Summary

    @property
    def others(self) -> list[Summary]:
        """The ticked ones that are compared with the reference."""
        return [summary for summary in self.chosen if summary.run != self.reference.run]


@st.cache_resource(show_spinner=False)
def _book(checkpoints: str) -> SummaryBook:
    """One for all sessions: each file is read once."""
    return SummaryBook()


def read_summaries() -> list[Summary]:
    """Every run, newest first."""
    return _book(str(folder.CHECKPOINTS.absolute())).read(list_runs(folder.CHECKPOINTS))


def tick(ids: Sequence[str], reference: str | None = None) -> None:
    """Compare these runs from now on, whatever is ticked; by default the oldest of them is the reference."""
    proposed = reference or ids[-1]
    st.session_state.update({TICKED: list(ids), TICKED_ANEW: True, REFERENCE: proposed, PROPOSED: proposed})


def with_predecessor(run: RunFolder) -> list[str]:
    """The ids of a run and of the one that was made before it: what somebody who changes one thing wants to compare."""
    runs = list_runs(run.path.parent)
    at = runs.index(run) if run in runs else 0
    return [found.id for found in runs[at : at + 2]]


def begin(summaries: Sequence[Summary]) -> set[str]:
    """The ids of the ticked runs: those of an opened link, of this session, or at first the newest race or runs."""
    _take_from_address(summaries)
    if TICKED not in st.session_state:
        group = summaries[0].group
        together = [summary for summary in summaries if group and summary.group == group]
        begun = [summary for summary in summaries if summary.tokens_seen][:FIRST_TICKED]
        st.session_state[TICKED] = [summary.run.id for summary in together or begun]
    ticked = set(st.session_state[TICKED])
    if proposal := _proposal(summaries, ticked):
        st.session_state[REFERENCE] = st.session_state[PROPOSED] = proposal
    return ticked


def _proposal(summaries: Sequence[Summary], ticked: set[str]) -> str | None:
    """The oldest ticked run, where nobody has chosen a reference and the proposed one is not ticked any more."""
    shown = st.session_state.get(REFERENCE)
    if shown is not None and (shown != st.session_state.get(PROPOSED) or shown in ticked):
        return None
    sound = [summary.run.id for summary in summaries if summary.config and summary.run.id in ticked]
    return sound[-1] if sound else None


def settle(summaries: Sequence[Summary], ticked: set[str]) -> None:
    """Keep what is ticked now, and draw the page anew where that asks for another reference."""
    st.session_state[TICKED] = [summary.run.id for summary in summaries if summary.run.id in ticked]
    if _proposal(summaries, ticked):
        st.rerun()


def _take_from_address(summaries: Sequence[Summary]) -> None:
    """`?runs=…&reference=…` of a link that was opened; unknown ids are passed over."""
    asked = (st.query_params.get("runs", ""), st.query_params.get("reference", ""))
    written = st.session_state.setdefault(WRITTEN, set())
    if asked in written or not any(asked):
        return
    written.add(asked)
    named = set(asked[0].split(","))
    if ticked := [summary.run.id for summary in summaries if summary.run.id in named]:
        tick(ticked)
    if any(summary.run.id == asked[1] for summary in summaries):
        st.session_state[REFERENCE] = asked[1]


def write_address(picked: Picked) -> None:
    """Let the address name this comparison."""
    address = (",".join(summary.run.id for summary in picked.chosen), picked.reference.run.id)
    st.session_state.setdefault(WRITTEN, set()).add(address)
    st.query_params["runs"], st.query_params["reference"] = address
