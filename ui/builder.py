"""Everything the set-up page shows, gathered once per click: the form checked, the text counted, the plan reckoned."""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from config.data_config import DataConfig
from config.errors import RunError
from config.model_config import ModelConfig
from config.presets import load_preset
from config.run_config import RunConfig
from config.sizes import flops_per_token, memory_problem
from runs import folder, machine
from ui import engines, form
from ui.curves import read_run
from ui.engines import TextFacts, TokenFacts
from ui.plan import FLOPS_PER_THREAD, Plan, make_plan
from ui.setup import Setup, check

FLAG_ADVICE = re.compile(r"[:;,][^:;,]*--\w.*$", re.DOTALL)  # what to type; the page has buttons for it
OWN_TEXT = "Your own"  # what the Text tab stands on when it is not training.txt
NO_UPLOAD = "there is no text of yours yet: upload a file or choose training.txt"
RUNS_ASKED = 10  # the latest ones, for how fast this machine is
ALIKE = 2.0  # a training with at most twice or at least half the work per token and tokens per step is like another


@dataclass(frozen=True)
class Build:
    """What the form stands for now."""

    problems: dict[tuple[str, str], str]
    config: RunConfig | None  # None while there are problems
    model: ModelConfig  # with the tokenizer's vocabulary; the last sound one while the form has problems
    stale: bool  # whether `model` is not what the form says
    text: TextFacts
    tokens: TokenFacts
    plan: Plan | None
    measured: bool  # whether the plan's time comes from a run like this one on this machine


def gather() -> Build:
    """Read the session's form and judge it."""
    model_values, data = form.read("model"), form.read("data")
    setup = check(
        model_values,
        data,
        form.read("training"),
        implementation=st.session_state["implementation"],
        preset=st.session_state["preset"],
        size=st.session_state["size"],
    )
    problems = dict(setup.problems)
    text, tokens = look_at_text(data, setup)
    if problem := upload_problem() or text.problem:
        problems["data", "text_file"] = in_their_words(problem, data["text_file"])
    if problem := tokens.problem:
        field = "vocab_size" if problem.startswith("vocab_size") else "tokenizer_type"
        problems["data", field] = problem
    n_ctx = model_values["n_ctx"]
    if tokens.train_tokens and ("model", "n_ctx") not in problems and (problem := too_short(tokens, n_ctx)):
        # A context that the person made longer is too long; under the preset's own, the text is too short.
        short = n_ctx <= load_preset(st.session_state["preset"], st.session_state["size"]).n_ctx
        problems[("data", "text_file") if short else ("model", "n_ctx")] = problem
    stale = any(section == "model" for section, _ in setup.problems)
    model = st.session_state.get("last-model") or load_preset(st.session_state["preset"], st.session_state["size"])
    if not stale:
        vocabulary = tokens.d_vocab or expected_vocabulary(data)
        model = ModelConfig(**model_values | {"d_vocab": vocabulary})
        st.session_state["last-model"] = model
    plan, measured = None, False
    if setup.config and not stale and tokens.train_tokens:
        tokens_per_step = setup.config.training.batch_size * model.n_ctx
        speed, measured = machine_speed(flops_per_token(model), tokens_per_step, setup.config.implementation)
        plan = make_plan(setup.config, model, tokens.train_tokens, machine.available_memory_bytes(), speed)
        if found := memory_problem(plan.memory_bytes, plan.available_bytes):
            problems["model", found.field] = found.message
    return Build(problems, None if problems else setup.config, model, stale, text, tokens, plan, measured)


def upload_problem() -> str:
    """Why there is nothing of one's own to train on, though that was asked for."""
    waiting = st.session_state.get("text-source") == OWN_TEXT and not st.session_state.get("uploaded-path")
    return st.session_state.get("upload-problem") or (NO_UPLOAD if waiting else "")


def shown_name(path: str) -> str:
    """A text as the person calls it: an upload by the name it came with, which is only ever shown."""
    return st.session_state["uploaded-name"] if path == st.session_state.get("uploaded-path") else path


def in_their_words(problem: str, path: str) -> str:
    """A sentence about a stored upload, with the name that the person knows it by and without flags."""
    sentence = FLAG_ADVICE.sub("", problem)
    return sentence.replace(path, shown_name(path)).replace(Path(path).name, shown_name(path))


def look_at_text(data: dict[str, Any], setup: Setup) -> tuple[TextFacts, TokenFacts]:
    """What the text is and how many tokens it has; empty where the form says nothing sound about it."""
    if any(section == "data" for section, _ in setup.problems):
        return TextFacts(), TokenFacts()
    path = data["text_file"]
    stamp = engines.file_stamp(path)
    text = engines.text_facts(path, stamp, data["encoding"], data["data_size"])
    if text.problem:
        return text, TokenFacts()
    return text, engines.token_facts(DataConfig.from_dict(data), stamp)


def too_short(tokens: TokenFacts, n_ctx: int) -> str:
    """Why a text is too short for a context, or nothing."""
    for name, count in (("training", tokens.train_tokens), ("validation", tokens.val_tokens)):
        if count < n_ctx + 1:
            return (
                f"the {name} part of the text has {count:,} tokens, but a context of {n_ctx:,} needs at least "
                f"{n_ctx + 1:,}: take a longer text or a shorter context"
            )
    return ""


def first_vocabulary() -> int:
    """The vocabulary of the text and tokenizer that the form begins with."""
    data = DataConfig().to_dict()
    _, tokens = look_at_text(data, Setup({}, None))
    return tokens.d_vocab or expected_vocabulary(data)


def expected_vocabulary(data: dict[str, Any]) -> int:
    """The vocabulary before the text was looked at; that of the defaults while the form is not sound."""
    try:
        return DataConfig(**data).expected_vocabulary
    except ValueError:
        return DataConfig().expected_vocabulary


@st.cache_data(ttl=60, show_spinner=False)
def machine_speed(work_per_token: int, tokens_per_step: int, implementation: str) -> tuple[float, bool]:
    """Floating-point operations per second of such a training here, and whether a run like it has measured them.

    A tiny model reaches a tenth of what a large one does: the fastest of the runs that are alike counts (the others
    shared the machine with something), else that of the run that is nearest in size.
    """
    alike, nearest = [], (math.inf, 0.0)
    for run in folder.list_runs(folder.CHECKPOINTS)[:RUNS_ASKED]:
        try:
            config, model = run.read_config(), run.read_model_config()
        except RunError:
            continue
        last, work = read_run(run).metrics.last(), flops_per_token(model, frozen=config.lora.is_on)
        speed = work * last.get("tokens_seen", 0.0) / (last.get("elapsed_seconds") or math.inf)
        if not speed > 0:  # nor for a value that is no number
            continue
        ratios = (work / work_per_token, config.training.batch_size * model.n_ctx / tokens_per_step)
        distance = sum(abs(math.log(ratio)) for ratio in ratios)
        if config.implementation == implementation and max(*ratios, *(1 / ratio for ratio in ratios)) <= ALIKE:
            alike.append(speed)
        nearest = min(nearest, (distance, speed))
    if alike:
        return max(alike), True
    return nearest[1] or machine.processor_threads() * FLOPS_PER_THREAD, False
