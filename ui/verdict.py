"""Is it real? The ticked runs against the reference on the same text, each with one sentence and its interval."""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import streamlit as st

from config.errors import CheckpointError
from config.run_config import RunConfig
from runs.checkpoints import choose
from runs.summaries import Summary
from ui import comparison_engine as engine
from ui import plot, racing, verdict_chart
from ui.comparison_engine import Judging, Pair, Verdict
from ui.live import theme
from ui.picked import Picked
from ui.words import counted, literal

LOOK_SECONDS = 0.5
JUDGING = "judging"  # session key: what is being scored
MOST = 8  # pairs at once
EXPLANATION = (
    "The best checkpoints of both are scored on validation text that neither was trained on, token by token (with "
    "different tokenizers byte by byte). The interval says how much of the difference may be due to this text."
)


def draw(picked: Picked) -> None:
    """A button, then a row for each run."""
    pairs = {summary: pair for summary in picked.others[:MOST] if (pair := _pair(picked.reference, summary))}
    if not pairs:
        st.caption("Tick another run with a checkpoint: it is compared with the reference.")
        return
    known = {summary: engine.known_verdict(pair) for summary, pair in pairs.items()}
    # What could not be scored may be possible by now: a text is back, or memory is free.
    missing = [pairs[summary] for summary, verdict in known.items() if verdict is None or verdict.problem]
    judging: Judging | None = st.session_state.get(JUDGING)
    active = bool(judging and judging.look().active)
    with st.container(horizontal=True, vertical_alignment="center", key="judge_row"):
        if active or missing:
            st.button(
                "Is it real?", icon=":material/balance:", type="primary", key="judge", disabled=active,
                on_click=_begin, args=(missing,), help="Takes up to a minute for each run. Typical: a few seconds.",
            )  # fmt: skip
        st.caption(EXPLANATION)
    if active and judging:
        st.fragment(_wait, run_every=LOOK_SECONDS, key="judging_wait")(judging)
    _draw_chart([(s, verdict) for s, verdict in known.items() if verdict and not verdict.problem], picked.reference)
    for summary, verdict in known.items():
        if verdict:
            _draw_verdict(summary, verdict, picked)


def _pair(reference: Summary, summary: Summary) -> Pair | None:
    """The best checkpoints of both; None where one has none that can be used."""
    try:
        return str(choose(reference.run)), str(choose(summary.run))
    except CheckpointError:
        return None


def _begin(pairs: Sequence[Pair]) -> None:
    st.session_state[JUDGING] = Judging(pairs)


def _wait(judging: Judging) -> None:
    progress = judging.look()
    if not progress.active:
        st.rerun()
    st.progress(progress.share, text="Scoring both on the same text …")


def _draw_chart(rows: Sequence[tuple[Summary, Verdict]], reference: Summary) -> None:
    if rows:
        name = reference.label.name
        figure = verdict_chart.figure(rows, name, theme())
        plot.show(figure, key="verdicts", alt=verdict_chart.describe(rows, name), download="is-it-real")


def _draw_verdict(summary: Summary, verdict: Verdict, picked: Picked) -> None:
    """The sentence, what it was reached on, and what other seeds of both configurations say."""
    names = picked.reference.label.name, summary.label.name
    with st.container(gap="xxsmall", key=f"verdict-{summary.run.id}"):
        st.text(verdict.sentence(*names))
        if verdict.problem:
            return
        st.caption(literal(f"Scored on {verdict.coverage}. {verdict.note}".strip()))
        ours, theirs = (_same_but_seed(other, picked.all) for other in (picked.reference, summary))
        if not ours or not theirs or ours[0] in theirs:
            return
        losses = [[found.split_bits_per_byte or 0.0 for found in side] for side in (ours, theirs)]
        if min(map(len, losses)) >= 2:
            st.text(f"Over seeds: {engine.over_seeds(*losses).sentence(*names)}")
            return
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption(
                "This is about these two checkpoints. Whether the configuration is better, seeds must tell: so far "
                f"{counted(len(ours), 'run')} of the one and {len(theirs)} of the other.", width="content",
            )  # fmt: skip
            lacking = [side[0] for side in (ours, theirs) if len(side) < 2]
            racing.draw_seeds_button(lacking, key=summary.run.id)


def _same_but_seed(summary: Summary, summaries: Sequence[Summary]) -> list[Summary]:
    """The finished runs whose configuration differs from this one's in nothing but the seed, itself among them."""
    if summary.config is None:
        return []
    wanted = _but_seed(summary.config), summary.corpus
    scored = (other for other in summaries if other.config and other.split_bits_per_byte is not None)
    return [other for other in scored if other.config and (_but_seed(other.config), other.corpus) == wanted]


@lru_cache(maxsize=1_024)
def _but_seed(config: RunConfig) -> RunConfig:
    return replace(config, training=config.training.replace(seed=0))
