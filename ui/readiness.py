"""Ready: what Start will do, in numbers, and the button."""

import html

import streamlit as st

from config.run_config import RunConfig
from runs import folder
from runs.folder import RunFolder
from runs.state import read_status
from ui import link, measuring, plan
from ui.builder import Build
from ui.command import equivalent_command
from ui.setup import TABS
from ui.starting import start_run
from ui.words import counted, literal

HAS_THE_MACHINE = ("starting", "running", "stopping", "stalled")


def draw(build: Build) -> None:
    """The card beside the form."""
    with st.container(border=True, key="ready", gap="xsmall"):
        if build.config and build.plan:
            draw_numbers(build, build.plan)
        else:
            draw_problems(build)
        with st.container(horizontal=True, vertical_alignment="center"):
            st.button(
                "Start training", type="primary", icon=":material/play_arrow:", key="start",
                disabled=build.config is None, on_click=start, args=(build.config, ),
            )  # fmt: skip
            measuring.draw_button(build.config)
            if ahead := next_in_front():
                name = literal(ahead.read_label().name)
                st.caption(f"This one will be queued behind **{name}** and starts by itself.")
        measuring.draw_answer(build.config)
        if build.config:
            with st.expander("The same as a command, and as a link", icon=":material/terminal:", key="as-command"):
                st.code(equivalent_command(build.config), language="bash")
                link.draw(build.config)
        if problem := st.session_state.pop("start-problem", None):
            st.error(problem)


def next_in_front() -> RunFolder | None:
    """The run behind which a new one would wait: the last in the queue, else the one that trains."""
    found = [(read_status(run), run) for run in folder.list_runs(folder.CHECKPOINTS)]
    queue = [(status.started or 0.0, run) for status, run in found if status.state == "queued"]
    if queue:
        return max(queue, key=lambda entry: entry[0])[1]
    return next((run for status, run in found if status.state in HAS_THE_MACHINE), None)


def draw_numbers(build: Build, reckoned: plan.Plan) -> None:
    """Size, text and passes in one line; time, memory and steps in the next."""
    tokens = build.tokens.train_tokens + build.tokens.val_tokens
    st.markdown(f"**{plan.headline(reckoned, build.text.bytes, tokens, build.tokens.exact)}**")
    st.caption(plan.costs(reckoned, build.measured))
    if reckoned.memory_share > plan.WARN_SHARE:
        st.warning(
            f"This takes {reckoned.memory_share:.0%} of the memory that is free now. Close other programs, or take "
            "smaller micro-batches (Training, gradient accumulation).",
            icon=":material/memory:",
        )


def draw_problems(build: Build) -> None:
    """Everything that stands in the way, with the tab where it can be mended."""
    st.markdown(f"**{counted(len(build.problems), 'thing')} to mend before this can train**")
    items = "".join(
        f"<li><b>{TABS[section]}</b> {html.escape(message)}</li>" for (section, _), message in build.problems.items()
    )
    st.html(f'<ul class="problems">{items}</ul>')


def start(config: RunConfig) -> None:
    """Start the run and put it into the address, so that this page shows it at once."""
    run, problem = start_run(config)
    if run:
        st.query_params["run"] = run.id
    else:
        st.session_state["start-problem"] = problem
