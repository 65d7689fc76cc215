"""Choosing a run and one of its checkpoints, with a card that says what was chosen."""

from collections.abc import Sequence

import streamlit as st

from config.errors import CheckpointError, RunError
from config.run_config import RunConfig
from config.sizes import count_parameters
from runs import folder
from runs.checkpoints import CheckpointInfo, choose, list_checkpoints
from runs.folder import RunFolder, list_runs, open_run
from runs.verification import read_val_loss
from ui import sparkline
from ui.curves import read_run
from ui.run_cards import evaluations
from ui.run_header import model_title
from ui.words import count, literal, number


def runs_with_checkpoints() -> list[RunFolder]:
    """Runs that something can be generated from, newest first; their checkpoints may still be damaged."""
    return [run for run in list_runs(folder.CHECKPOINTS) if next(run.path.glob("step_*"), None)]


def pick_run(runs: Sequence[RunFolder]) -> RunFolder:
    """A list of runs; the address (`?run=…`) names the chosen one and chooses it when the page is opened."""
    ids = [run.id for run in runs]
    asked = st.query_params.get("run")
    if asked in ids and st.session_state.get("picked_from_address") != asked:
        st.session_state["generate_run"] = st.session_state["picked_from_address"] = asked
    elif asked is not None and asked not in ids:
        st.warning(literal(why_not(asked)), icon=":material/link_off:")
    if st.session_state.get("generate_run") not in ids:
        st.session_state["generate_run"] = ids[0]
    titles = {run.id: _run_line(run) for run in runs}
    picked = st.selectbox("Run", ids, format_func=titles.__getitem__, key="generate_run", persist_state="session")
    st.query_params["run"] = st.session_state["picked_from_address"] = picked
    return runs[ids.index(picked)]


def why_not(run_id: str) -> str:
    """Why a run in the address cannot be chosen."""
    try:
        name = open_run(folder.CHECKPOINTS, run_id).read_label().name
    except RunError as error:
        return str(error)
    return f"{name} has no checkpoint yet: it saves one on its way, and at the end."


def _run_line(run: RunFolder) -> str:
    """A run's name, and the loss of the checkpoint that it offers first: a damaged one counts for nothing."""
    name = run.read_label().name
    try:
        loss = read_val_loss(choose(run))
    except CheckpointError:
        return f"{name} · no usable checkpoint"
    return name if loss is None else f"{name} · {number(loss)}"


def order(checkpoints: Sequence[CheckpointInfo]) -> list[CheckpointInfo]:
    """Those that verify, the best first (what `--checkpoint RUN` means), then by step, newest first."""
    sound = sorted((info for info in checkpoints if info.ok), key=lambda info: -info.step)
    rated = [info for info in sound if info.val_loss_nats is not None]
    best = min(rated, key=lambda info: info.val_loss_nats or 0.0, default=None)
    return ([best] if best else []) + [info for info in sound if info is not best]


def pick_checkpoint(run: RunFolder) -> CheckpointInfo | None:
    """The checkpoints of a run, damaged ones last with their reason; None where the picked one cannot be used."""
    checkpoints = list_checkpoints(run)
    sound = order(checkpoints)
    damaged = [info for info in reversed(checkpoints) if not info.ok]
    picked = st.selectbox(
        "Checkpoint", sound + damaged, key=f"checkpoint_{run.id}", persist_state="session",
        format_func=lambda info: _checkpoint_line(info, best=bool(sound) and info == sound[0]),
    )  # fmt: skip
    if not sound:
        st.error("No checkpoint of this run can be used.", icon=":material/error:")
    if picked and not picked.ok:
        st.error(f"Step {picked.step:,} cannot be used. {literal(picked.problem)}", icon=":material/block:")
    return picked if picked and picked.ok else None


def _checkpoint_line(info: CheckpointInfo, *, best: bool) -> str:
    if not info.ok:
        return f"step {info.step:,} · damaged: {info.problem}"
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
        sparkline.show(losses, key="curve", alt="Validation loss over the run.")
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
