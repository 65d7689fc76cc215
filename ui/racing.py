"""Trainings started from Compare: a race on identical batches, a preset at several sizes, the same with other seeds."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import streamlit as st

from config.errors import ConfigError, RunError
from config.run_config import RunConfig
from runs import folder, race
from runs.race import Entry
from runs.summaries import Summary, change_sentence
from ui import picked
from ui.picked import Picked
from ui.words import literal

# Session keys: the menu of a race, and why the last click started nothing.
MENU, PROBLEM = "race", "race_problem"
NEW_SEEDS = (1, 2)  # added to the seed of a run


def draw_race(compared: Picked) -> None:
    """A button that opens what a race of the ticked runs would be, and starts it."""
    racers = [compared.reference, *compared.others][: race.MOST]
    configs = [summary.config for summary in racers if summary.config]
    if len(configs) < race.FEWEST:
        return
    label = "Race this against the reference" if len(configs) == 2 else f"Race these {len(configs)}"
    menu = st.popover(
        label, icon=":material/sports_score:", key=MENU, type="tertiary", on_change="rerun",
        help="Trains them anew, one after the other, on identical batches.",
    )  # fmt: skip
    if not menu.open:
        return
    with menu:
        st.caption(
            "Each is trained anew, one after the other, on the text, seed, batches and steps of the reference. "
            "What is left of a difference is the configuration."
        )
        steps = ask_steps(configs[0], "race_steps")
        entries = attempt(lambda: race.line_up([race.with_steps(config, steps) for config in configs]))
        for summary, entry in zip((s for s in racers if s.config), entries or (), strict=False):
            what = "; ".join((change_sentence(compared.reference, summary), *entry.notes))
            st.caption(f"**{literal(summary.label.name)}** · {literal(what)}")
        st.button(
            "Start the race", icon=":material/sports_score:", type="primary", key="start_race", disabled=not entries,
            on_click=start, args=(entries, "race"),
        )  # fmt: skip
        tell_problem()


def draw_seeds_button(summaries: Sequence[Summary], key: str) -> None:
    """A button that queues the configurations of these runs again, with other seeds."""
    configs = [summary.config for summary in summaries if summary.config]
    entries = [
        Entry(replace(config, training=config.training.replace(seed=config.training.seed + more)))
        for config in configs
        for more in NEW_SEEDS
    ]
    st.button(
        f"Train {len(entries)} more with other seeds", icon=":material/casino:", type="tertiary",
        key=f"more_seeds_{key}", on_click=start, args=(entries, "seeds"),
        help="They are queued and wait for one another.",
    )  # fmt: skip


def ask_steps(config: RunConfig, key: str) -> int | None:
    """How long; empty is as long as the reference."""
    steps: int | None = st.number_input(
        "Steps", value=None, step=100, key=key, width=240,
        placeholder=f"{config.training.max_steps:,}, as the reference",
        help="Optimizer steps of each. Typical: 300 for a tiny model.",
    )  # fmt: skip
    return steps


def attempt(make: Callable[[], list[Entry]]) -> list[Entry]:
    """The entries, or none and their problem on the page."""
    try:
        return make()
    except (ConfigError, RunError) as error:
        st.error(literal(str(error)), icon=":material/block:")
        return []


def start(entries: Sequence[Entry], kind: str, endings: Sequence[str] = ()) -> None:
    """Make and queue the runs, and compare them from now on; a callback."""
    try:
        runs = race.start(folder.CHECKPOINTS, entries, kind=kind, endings=endings)
    except (ConfigError, RunError, OSError) as error:
        st.session_state[PROBLEM] = why_not(error)
        return
    picked.tick([run.id for run in runs], reference=runs[0].id)
    st.session_state[MENU] = False


def why_not(error: Exception) -> str:
    """What a click has come to that did not start what it should; see the errors of `race.start`."""
    if isinstance(error, OSError):
        return f"The runs are made, but not all of them could be started: {error}. Home lists them."
    return f"Nothing was started: {error}"


def tell_problem() -> None:
    """Why the last click did not start all that it should."""
    if problem := st.session_state.pop(PROBLEM, None):
        st.error(literal(problem), icon=":material/error:")
