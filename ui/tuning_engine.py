"""The door from the Fine-tune page to what compares a checkpoint with a new run; engines are imported when called."""

from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from config.parent import Carried
from config.run_config import RunConfig

SHOWN_TENSORS = 40


@dataclass(frozen=True)
class TensorFate:
    """One tensor that is not simply kept."""

    name: str
    fate: str
    shape: str
    kept_share: float


@dataclass(frozen=True, kw_only=True)
class TuneFacts:
    """What a new run takes over from its checkpoint; `problem` says why it cannot begin so."""

    config: RunConfig | None = None  # with its parent
    carried: Carried = "weights"
    why_not_all: str = ""
    tokenizer: str = ""
    fates: tuple[tuple[str, int], ...] = ()  # kept, resized, new, left behind, and how many
    changed: tuple[TensorFate, ...] = ()
    trained: int = 0
    parameters: int = 0
    example: tuple[str, str] = ("", "")  # the first pair, as the model reads it
    notes: tuple[str, ...] = ()
    problem: str = ""
    field: str = ""  # of the problem


@st.cache_data(max_entries=32, show_spinner="Comparing with the checkpoint …")
def look(
    config: RunConfig, checkpoint: str, stamp: str, text_stamp: tuple[int, int], carry: Carried | None
) -> TuneFacts:
    """Judge a run that would begin from this checkpoint.

    Args:
        config: what it shall be, without its parent.
        stamp, text_stamp: change when checkpoint and text do.
    """
    from collections import Counter

    from config.errors import CheckpointError, ConfigError, RunError, TextError
    from runs.folder import RunFolder
    from training.fork import fork
    from training.prepare import check_trainable
    from training.transfer import FATES

    try:
        forked, report = fork(config, Path(checkpoint), carry)
        if report.carried == "weights":
            check_trainable(config.data, config.model.n_ctx, RunFolder(Path(checkpoint).parent))
        example, notes = _first_pair(config)
    except ConfigError as error:
        return TuneFacts(problem=error.problems[0].message, field=error.problems[0].field)
    except TextError as error:
        return TuneFacts(problem=str(error), field="text_file")
    except (RunError, CheckpointError) as error:
        return TuneFacts(problem=str(error))
    counts = Counter(tensor.fate for tensor in report.tensors)
    changed = [tensor for tensor in report.tensors if tensor.fate != "kept"][:SHOWN_TENSORS]
    return TuneFacts(
        config=forked, carried=report.carried, why_not_all=report.why_not_all, tokenizer=report.tokenizer,
        fates=tuple((fate, counts[fate]) for fate in FATES if counts[fate]),
        changed=tuple(
            TensorFate(tensor.name, tensor.fate, " × ".join(map(str, tensor.shape)), tensor.kept / max(1, tensor.size))
            for tensor in changed
        ),
        trained=report.trained, parameters=report.parameters, example=example,
        notes=(*notes, *report.changed_sentences()),
    )  # fmt: skip


def _first_pair(config: RunConfig) -> tuple[tuple[str, str], tuple[str, ...]]:
    """Of pairs the first one, and how many there are."""
    if config.data.text_kind != "pairs":
        return ("", ""), ()
    from text.pairs import read_pairs

    pairs = read_pairs(config.data)
    first = pairs.train[0]
    return (first.prompt, first.response), (
        f"{len(pairs.train):,} pairs to learn from, {len(pairs.val):,} to validate",
    )
