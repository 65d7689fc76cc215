"""trainer.json of a checkpoint, read back with exact types: what a resume needs beside weights and optimizer."""

import base64
import binascii
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

from config.errors import CheckpointError, RunError
from runs.files import read_json
from training.precision import LossScale
from training.progress import Progress

Plain = TypeVar("Plain", Progress, LossScale)


@dataclass(frozen=True, kw_only=True)
class TrainerState:
    """What `Trainer.state` wrote."""

    progress: Progress
    loss_scale: LossScale | None
    metrics_bytes: int
    samples_bytes: int
    rng: Mapping[str, bytes]  # torch's generators by device


def read_trainer_state(file: Path) -> TrainerState:
    """The state in this file.

    Raises:
        CheckpointError: it is damaged, in a sentence that says where.
    """
    try:
        values = read_json(file)
        if not isinstance(values, dict):
            raise ValueError("it is not a table")
        scale = values.get("loss_scale")
        return TrainerState(
            progress=_parse(Progress, values.get("progress")),
            loss_scale=None if scale is None else _parse(LossScale, scale),
            metrics_bytes=_whole("metrics_bytes", values.get("metrics_bytes")),
            samples_bytes=_whole("samples_bytes", values.get("samples_bytes")),
            rng={str(name): _bytes(text) for name, text in _table("rng", values.get("rng")).items()},
        )
    except RunError as error:
        raise CheckpointError(str(error)) from None
    except ValueError as error:
        raise CheckpointError(f"{file.parent.name}/{file.name} is damaged: {error}.") from None


def _parse(kind: type[Plain], values: Any) -> Plain:
    """A dataclass of plain numbers from a table with exactly its fields."""
    names = {field.name for field in fields(kind)}
    table = _table(kind.__name__, values)
    if table.keys() != names:
        raise ValueError(f"it should have {', '.join(sorted(names))}, but has {str(sorted(table))[:200]}")
    hints = get_type_hints(kind)
    for name, value in table.items():
        kinds = get_args(hints[name]) or (hints[name],)
        fits = type(value) in kinds or (float in kinds and type(value) is int)
        if not fits or (isinstance(value, float) and not math.isfinite(value)):
            raise ValueError(f"{name} is {str(value)[:40]!r}")
    return kind(**table)


def _table(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{name} is not a table")
    return value


def _whole(name: str, value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{name} is {str(value)[:40]!r}")
    return value


def _bytes(text: Any) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (TypeError, binascii.Error):
        raise ValueError("a random state in it is not base64") from None
