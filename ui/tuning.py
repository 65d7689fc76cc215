"""What the Fine-tune page stands on: a checkpoint, a text, what is trained; gathered once per click and judged."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from config.data_config import DataConfig
from config.errors import RunError
from config.fields import describe, find_problems
from config.inheritance import inherit_data
from config.lora_config import LoraConfig
from config.model_config import ModelConfig
from config.parent import Carried
from config.run_config import RunConfig
from config.short_form import word
from config.sizes import memory_problem, training_memory
from config.train_config import TrainConfig
from runs import machine
from runs.checkpoints import CheckpointInfo
from runs.folder import RunFolder
from runs.fork import has_text
from ui import engines, form, tuning_engine
from ui.generation_engine import checkpoint_stamp
from ui.tuning_engine import TuneFacts

SAMPLE, OWN, PAIRS, PARENTS = "training.txt", "Your own text", "Prompts and responses", "The same text"
FULL, LORA = "All weights", "LoRA adapters"
SECTIONS = {"tune_model": ModelConfig, "tune_data": DataConfig, "tune": TrainConfig, "lora": LoraConfig}
FILLED = "tune-filled"  # session key: the run whose settings the form began with
MOST_STEPS = 500  # that the form proposes
FIRST_RANK = 8


@dataclass(frozen=True)
class Tuning:
    """What the form stands for now."""

    parent: RunFolder
    checkpoint: CheckpointInfo
    before: RunConfig
    problems: dict[tuple[str, str], str]
    facts: TuneFacts | None  # None while there are problems
    values: dict[str, dict[str, Any]]

    @property
    def config(self) -> RunConfig | None:
        """What Start would begin; None while something is in the way."""
        return None if self.problems or self.facts is None else self.facts.config


def sources_of(parent: RunFolder, before: RunConfig) -> list[str]:
    """The texts to choose from; imported weights come without theirs."""
    known: list[str] = []
    with suppress(RunError):  # without data.json no checkpoint is of use, which is said elsewhere
        known = [PARENTS] if has_text(parent) else []
    return [OWN, PAIRS, *known, *([SAMPLE] if before.data.text_file != SAMPLE else [])]


def fill_from(parent: RunFolder, before: RunConfig) -> None:
    """Put the settings of another parent into the form; those of the same one stay as the person has changed them."""
    if st.session_state.get(FILLED) == parent.id:
        return
    st.session_state[FILLED] = parent.id
    training = before.training.to_dict() | {"warmup_steps": None, "min_lr": None, "epochs": None}
    training["max_steps"] = min(MOST_STEPS, before.training.max_steps)
    values = {"tune_model": before.model.to_dict(), "tune": training, "lora": before.lora.to_dict(),
              "tune_data": DataConfig(**inherit_data(before.data, {"text_file": ""})).to_dict()}  # fmt: skip
    for section, settings in values.items():
        form.write(section, settings)
    st.session_state["tune-method"] = LORA if before.lora.is_on else FULL
    if st.session_state.get("tune-source") not in sources_of(parent, before):
        st.session_state["tune-source"] = OWN


def gather(parent: RunFolder, checkpoint: CheckpointInfo, before: RunConfig) -> Tuning:
    """Read the session's form and judge it."""
    values = {section: form.read(section) for section in SECTIONS}
    values["tune_data"] = data_of(values["tune_data"], before)
    if st.session_state["tune-method"] == FULL:
        values["lora"] = LoraConfig().to_dict()
    problems = {
        (section, problem.field): problem.message
        for section, kind in SECTIONS.items()
        for problem in find_problems(kind, values[section])
    }
    if missing := missing_text():
        problems["tune_data", "text_file"] = missing
    facts = None
    if not problems:
        facts = look(values, checkpoint, before)
        if facts.problem:
            section = next((name for name, kind in SECTIONS.items() if facts.field in describe(kind)), "tune_data")
            problems[section, facts.field or "text_file"] = facts.problem
        elif problem := too_large(facts):
            problems["tune", "batch_size"] = problem
    return Tuning(parent, checkpoint, before, problems, facts, values)


def data_of(values: dict[str, Any], before: RunConfig) -> dict[str, Any]:
    """The data settings of the chosen source."""
    source = st.session_state["tune-source"]
    if source == PARENTS:
        return before.data.to_dict()
    path = SAMPLE if source == SAMPLE else st.session_state.get(path_key(source)) or ""
    return values | {"text_file": path, "text_kind": "pairs" if source == PAIRS else "text"}


def path_key(source: str) -> str:
    """Where the session keeps the upload of a source: its place on the disk."""
    return "tune-pairs" if source == PAIRS else "tune-text"


def missing_text() -> str:
    """Why there is nothing to learn from yet."""
    source = st.session_state["tune-source"]
    if problem := st.session_state.get("tune-upload-problem"):
        return str(problem)
    if source in (OWN, PAIRS) and not st.session_state.get(path_key(source)):
        return "upload a .csv or .jsonl with prompts and responses" if source == PAIRS else "upload a text"
    return ""


def look(values: dict[str, dict[str, Any]], checkpoint: CheckpointInfo, before: RunConfig) -> TuneFacts:
    """Compare the run that the form means with its checkpoint."""
    config = RunConfig(
        model=ModelConfig(**values["tune_model"]),
        implementation=before.implementation,
        data=DataConfig(**values["tune_data"]),
        training=TrainConfig(**values["tune"]),
        lora=LoraConfig(**values["lora"]),
        preset=before.preset,
        size=before.size,
    )
    path = str(checkpoint.path)
    carry: Carried | None = "weights" if st.session_state.get("tune-weights-only") else None
    try:
        stamp = checkpoint_stamp(path)
    except ValueError as error:
        return TuneFacts(problem=str(error))
    return tuning_engine.look(config, path, stamp, engines.file_stamp(config.data.text_file), carry)


def too_large(facts: TuneFacts) -> str:
    """Why the training would not fit into the memory that is free, or nothing."""
    config = facts.config
    assert config is not None
    model = config.with_vocabulary(config.data.expected_vocabulary)
    rows = config.training.batch_size // config.training.grad_accumulation
    trained = facts.trained if config.lora.is_on else None
    needed = training_memory(model, rows, config.implementation, trained).total
    problem = memory_problem(needed, machine.available_memory_bytes())
    return problem.message if problem else ""


def command_of(tuning: Tuning) -> str:
    """`uv run train.py --from … --lora_rank 8 …`: the flags that differ from what the parent brings."""
    before = tuning.before
    data = inherit_data(before.data, {"text_file": tuning.values["tune_data"]["text_file"]})
    inherited = {"tune_model": before.model.to_dict(), "tune_data": data, "tune": before.training.to_dict(),
                 "lora": before.lora.to_dict()}  # fmt: skip
    flags = [f"--from {quote(Path(tuning.checkpoint.path))}"]
    if data["text_file"] != before.data.text_file:
        flags.append(f"--text_file {quote(data['text_file'])}")
    for section, values in tuning.values.items():
        flags += [
            f"--{name} {quote(word(value))}"
            for name, value in values.items()
            if name != "d_vocab" and value != inherited[section][name]
        ]
    if st.session_state.get("tune-weights-only"):
        flags.append("--carry weights")
    return "uv run train.py " + " \\\n  ".join(flags)


def quote(value: object) -> str:
    """As a shell takes it."""
    import shlex

    return shlex.quote(str(value))
