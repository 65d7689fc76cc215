"""Dense against mixture of experts: what the additional parameters are worth, what they cost, and who does the work."""

import html
from collections.abc import Sequence

import streamlit as st

from config.errors import ConfigError, RunError
from config.sizes import count_active_parameters
from runs import experts, race
from runs.summaries import Summary
from ui import charts, expert_charts, plot, racing
from ui.charts import View
from ui.curves import read_run
from ui.live import theme
from ui.picked import Picked, tick
from ui.words import count, literal, number

N_EXPERTS, PER_TOKEN = "twin-experts", "twin-visits"  # session keys of the two numbers
MOST_DRAWN = 4  # fields of expert loads below each other
COLUMNS = ("Parameters", "A token uses", "Best validation", "Tokens per second", "Busiest expert", "Idlest expert")


def draw(picked: Picked) -> None:
    """A row for each run, the load of every mixture, and a way to train the missing twin."""
    known = [summary for summary in (picked.reference, *picked.others) if summary.model]
    mixtures = [summary for summary in known if has_experts(summary)]
    if not mixtures or len(mixtures) == len(known):
        _offer_twin(picked.reference)
    if not mixtures:
        return
    st.html(f'<div class="wide">{table(known, theme())}</div>')
    st.caption(
        "A token uses the parameters of the experts that it visits, and costs the work of these alone. Busiest and "
        "idlest: visits at the newest evaluation, in even shares; 1 is even."
    )
    for summary in mixtures[:MOST_DRAWN]:
        routing = read_run(summary.run, force=not summary.status.live).metrics.routing
        if routing is not None:
            layers = expert_charts.layer_names(routing, summary.model)
            title = html.escape(summary.label.name)
            figure = expert_charts.share_figure(routing, layers, View(theme=theme()), f"Visits of {title}")
            plot.show(figure, key=f"load_{summary.run.id}", alt=expert_charts.describe(routing))


def has_experts(summary: Summary) -> bool:
    """Whether the run's model is a mixture of experts."""
    return summary.model is not None and summary.model.n_experts is not None


def table(summaries: Sequence[Summary], theme: str) -> str:
    """Sizes, loss, speed and load, side by side."""
    head = "".join(f'<th scope="col">{column}</th>' for column in COLUMNS)
    rows = ""
    for summary in summaries:
        swatch = f'<i class="swatch" style="border-color:{charts.run_color(summary.label, theme)}"></i>'
        cells = "".join(f"<td>{html.escape(cell)}</td>" for cell in cells_of(summary))
        rows += f'<tr><th scope="row">{swatch}{html.escape(summary.label.name)}</th>{cells}</tr>'
    return f'<table class="compared"><thead><tr><td></td>{head}</tr></thead><tbody>{rows}</tbody></table>'


def cells_of(summary: Summary) -> list[str]:
    """The row of one run, in words; a dash where nothing is known or nothing is there."""
    assert summary.model is not None
    loss, speed = summary.best_loss_nats, summary.tokens_per_second
    routing = read_run(summary.run).metrics.routing if has_experts(summary) else None
    return [
        count(summary.parameters or 0),
        count(count_active_parameters(summary.model)),
        "–" if loss is None else f"{number(loss)} nats",
        "–" if speed is None else count(speed),
        "–" if routing is None else f"{number(routing.busiest, 3)} ×",
        "–" if routing is None else f"{number(routing.idlest, 3)} ×",
    ]


def _offer_twin(reference: Summary) -> None:
    """The same model on the same batches, dense or with experts: whichever is missing."""
    if reference.config is None:
        return
    name = literal(reference.label.name)
    with st.container(border=True, key="twin", gap="small"):
        if has_experts(reference):
            st.markdown(f"**What would {name} be without experts?** One MLP as wide as what a token visits of them.")
        else:
            st.markdown(
                f"**What would experts do for {name}?** Many MLPs in the place of one. A token visits a few, together "
                "as wide as it was: as much work, more to know."
            )
            _choose_numbers()
        st.button(
            "Train its twin on the same batches", key="train-twin", icon=":material/model_training:",
            on_click=_train_twin, args=(reference, ),
        )  # fmt: skip
        racing.tell_problem()


def _choose_numbers() -> None:
    left, right, _ = st.columns([2, 2, 4])
    left.number_input(
        "Experts", 1, 4_096, experts.N_EXPERTS, key=N_EXPERTS, persist_state="session",
        help="How many there are in each layer. Typical: 8.",
    )  # fmt: skip
    right.number_input(
        "A token visits", 1, 4_096, experts.PER_TOKEN, key=PER_TOKEN, persist_state="session",
        help="Each expert has this part of the width. Typical: 2.",
    )  # fmt: skip


def _train_twin(reference: Summary) -> None:
    """Queue the run that is missing, and compare the two from now on; a callback."""
    assert reference.config is not None
    n_experts = st.session_state.get(N_EXPERTS, experts.N_EXPERTS)
    per_token = st.session_state.get(PER_TOKEN, experts.PER_TOKEN)
    try:
        dense, mixture = experts.pair(reference.config, n_experts, per_token)
        twin, ending = (dense, "dense") if has_experts(reference) else (mixture, "experts")
        runs = race.start(reference.run.path.parent, [twin], kind="race", endings=[ending], name=reference.label.name)
        tick([reference.run.id, *(run.id for run in runs)], reference=reference.run.id)
    except (ConfigError, RunError, OSError) as error:
        st.session_state[racing.PROBLEM] = racing.why_not(error)
