"""Choosing a run and one of its checkpoints, with a card that says what was chosen."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

import streamlit as st

from config.errors import CheckpointError, RunError
from config.run_config import RunConfig
from config.sizes import count_parameters
from runs import folder
from runs.checkpoints import CheckpointInfo, choose, list_checkpoints
from runs.folder import RunFolder, list_runs, open_run
from runs.state import read_status
from runs.verification import read_val_loss
from ui import charts, sparkline, steady_choice
from ui.curves import read_run
from ui.live import theme
from ui.run_cards import evaluations
from ui.run_header import model_title
from ui.words import count, literal, number

DAMAGED = "⊘"  # an entry of a list can have no colour of its own
STAMP = len("20261130141502")  # what a run's id begins with


def runs_with_checkpoints() -> list[RunFolder]:
    """Runs that something can be generated from, newest first; their checkpoints may still be damaged."""
    return [run for run in list_runs(folder.CHECKPOINTS) if next(run.path.glob("step_*"), None)]


def first_choice(runs: Sequence[RunFolder]) -> RunFolder:
    """The newest finished run with a checkpoint that verifies; while none is finished, the newest with one."""
    finished_first = sorted(runs, key=lambda run: read_status(run).state != "finished")
    return next(filter(_has_checkpoint, finished_first), runs[0])  # lazily: to verify is to read whole files


def _has_checkpoint(run: RunFolder) -> bool:
    try:
        choose(run)
    except CheckpointError:
        return False
    return True


def pick_run(runs: Sequence[RunFolder]) -> RunFolder:
    """A list of runs; the address (`?run=…`) names the chosen one and chooses it when the page is opened."""
    by_id = {run.id: run for run in runs}
    asked = st.query_params.get("run")
    if asked in by_id and st.session_state.get("picked_from_address") != asked:
        st.session_state["generate_run"] = st.session_state["picked_from_address"] = asked
    elif asked is not None and asked not in by_id:
        st.warning(literal(why_not(asked)), icon=":material/link_off:")
    if "generate_run" not in st.session_state:
        st.session_state["generate_run"] = first_choice(runs).id
    picked = steady_choice.choose("Run", run_lines(runs), key="generate_run") or runs[0].id
    st.query_params["run"] = st.session_state["picked_from_address"] = picked
    return by_id[picked]


def why_not(run_id: str) -> str:
    """Why a run in the address cannot be chosen."""
    try:
        name = open_run(folder.CHECKPOINTS, run_id).read_label().name
    except RunError as error:
        return str(error)
    return f"{name} has no checkpoint yet: it saves one on its way, and at the end."


def run_lines(runs: Sequence[RunFolder]) -> dict[str, str]:
    """A line for each run by its id, those without a usable checkpoint last: the first one is what a list offers.

    Runs of one name are told apart by when they were made.
    """
    names = {run.id: run.read_label().name for run in runs}
    often = Counter(names.values())
    lines = {run.id: _run_line(run, names[run.id], dated=often[names[run.id]] > 1) for run in runs}
    return dict(sorted(lines.items(), key=lambda line: line[1].startswith(DAMAGED)))


def _run_line(run: RunFolder, name: str, *, dated: bool) -> str:
    """A run's name, and the loss of the checkpoint that it offers first: a damaged one counts for nothing."""
    made = f" · {made_at(run.id)}" if dated else ""
    try:
        loss = read_val_loss(choose(run))
    except CheckpointError:
        return f"{DAMAGED} {name}{made} · no usable checkpoint"
    return f"{name}{made}" if loss is None else f"{name}{made} · {number(loss)}"


def made_at(run_id: str) -> str:
    """30 Nov 14:15:02, from 20261130141502 (UTC, as everywhere in the folder), with what else the id has."""
    try:
        return datetime.strptime(run_id[:STAMP], "%Y%m%d%H%M%S").strftime("%-d %b %H:%M:%S") + run_id[STAMP:]
    except ValueError:  # a folder that was renamed by hand
        return run_id


def order(checkpoints: Sequence[CheckpointInfo]) -> list[CheckpointInfo]:
    """Those that verify, the best first (what `--checkpoint RUN` means), then by step, newest first."""
    sound = sorted((info for info in checkpoints if info.ok), key=lambda info: -info.step)
    rated = [info for info in sound if info.val_loss_nats is not None]
    best = min(rated, key=lambda info: info.val_loss_nats or 0.0, default=None)
    return ([best] if best else []) + [info for info in sound if info is not best]


def pick_checkpoint(run: RunFolder) -> CheckpointInfo | None:
    """The checkpoints of a run, damaged ones last and why below; None where the picked one cannot be used."""
    checkpoints = list_checkpoints(run)
    sound = order(checkpoints)
    by_step = {info.step: info for info in [*sound, *(info for info in reversed(checkpoints) if not info.ok)]}
    lines = {step: _checkpoint_line(info, best=info in sound[:1]) for step, info in by_step.items()}
    step = steady_choice.choose("Checkpoint", lines, key=f"checkpoint_{run.id}")
    picked = by_step.get(step) if step is not None else None
    if picked and picked.ok:
        return picked
    why = f"Step {picked.step:,} cannot be used. {literal(picked.problem)}" if picked else ""
    none = "" if sound else "No checkpoint of this run can be used. "
    st.error(none + why, icon=":material/block:")
    return None


def _checkpoint_line(info: CheckpointInfo, *, best: bool) -> str:
    if not info.ok:
        return f"{DAMAGED} step {info.step:,} · damaged"
    loss = f" · {number(info.val_loss_nats)}" if info.val_loss_nats is not None else ""
    return f"step {info.step:,}{loss}" + (" · best" if best and loss else "")


def draw_card(run: RunFolder, checkpoint: CheckpointInfo) -> None:
    """What the chosen checkpoint is: model, text, curve, and what it wrote while it was trained."""
    reader = read_run(run)
    with st.container(border=True, key="run_card"):
        try:
            config = run.read_config()
            st.markdown(f"**{model_title(config)}**")
            st.caption(" · ".join(_facts(run, config)))
        except RunError as error:
            st.error(literal(str(error)))
        losses = evaluations(run)
        st.metric(
            "Validation loss", number(checkpoint.val_loss_nats), delta=f"at step {checkpoint.step:,}",
            delta_color="off", delta_arrow="off",
        )  # fmt: skip
        color = charts.run_color(run.read_label(), theme())
        sparkline.show(losses, color=color, key="curve", alt="Validation loss over the run.")
        if sample := _sample_at(reader.samples.samples, checkpoint.step):
            st.caption("It wrote, while it was trained:")
            st.code(sample, language=None, wrap_lines=True, height=112)


def _facts(run: RunFolder, config: RunConfig) -> list[str]:
    try:
        model = run.read_model_config()
    except RunError:
        return [literal(config.data.text_file)]
    return [
        f"{count(count_parameters(model))} parameters",
        f"{config.data.tokenizer_type} tokens",
        literal(config.data.text_file),
    ]


def _sample_at(samples: Sequence[dict[str, object]], step: int) -> str:
    """The newest sample that is not younger than the checkpoint."""
    texts = [
        str(sample.get("text", "")) for sample in samples if isinstance(at := sample.get("step"), int) and at <= step
    ]
    return texts[-1].strip() if texts else ""
