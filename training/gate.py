"""The one gate for weights: the header of a file is compared with what the model expects before any tensor is read.

A safetensors file is eight bytes with the header's length, the header (JSON: dtype, shape and place of each tensor),
and the numbers, one tensor after the other. Nothing in it can run, but a hostile one can still cost memory and time: a
header of 66 MB that lists a million tensors takes 14 s and 1.6 GB to parse. So this gate knows beforehand, from the
configuration, how large header and file may be, and looks no further where they are not.

Pickles never get here: `runs.verification` refuses them by their first bytes.
"""

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from config.errors import CheckpointError, RunError
from runs.files import open_regular, parse_json

# Our own headers take about 130 bytes a tensor; other writers add metadata and padding.
HEADER_BYTES, HEADER_BYTES_PER_TENSOR = 65_536, 512
LENGTH_BYTES = 8
DTYPE, DTYPE_BYTES = "F32", 4

Shapes = Mapping[str, Sequence[int]]


def read_tensors(file: Path, shapes: Shapes, required: Collection[str] | None = None) -> dict[str, Tensor]:
    """The float32 tensors of a safetensors file, each finite, and no others.

    Args:
        shapes: name and shape of every tensor that may be in the file.
        required: names that must be there; by default all. (An optimizer that has not stepped yet has no moments.)

    Raises:
        CheckpointError: in one sentence, if the file is anything else. Except where only its numbers are wrong, no
            memory was taken by then but for a header of reasonable size.
    """
    check_tensors(file, shapes, shapes if required is None else required)
    try:
        tensors = load_file(file)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{file} cannot be read as safetensors: {error}.") from None
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise CheckpointError(f"{file} holds numbers that are not finite, in {name}.")
    return tensors


def check_size(file: Path, n_parameters: int) -> None:
    """Refuse a file that is too small for so many numbers: asked before a model is built, whose config may lie.

    Raises:
        CheckpointError: it is too small.
    """
    size, needed = file.stat().st_size, n_parameters * DTYPE_BYTES
    if size < needed:
        raise CheckpointError(
            f"{file} has {size:,} bytes, but a model of {n_parameters:,} parameters, as the configuration of its run "
            f"asks for, needs {needed:,}: they do not belong together."
        )


def check_tensors(file: Path, shapes: Shapes, required: Collection[str]) -> None:
    """Look at the header alone.

    Raises:
        CheckpointError: as `read_tensors`.
    """
    header = read_header(file, len(shapes))
    problem = _find_problem(header, shapes, required)
    if problem:
        raise CheckpointError(f"{file} does not fit the configuration of its run: {problem}.")


def read_header(file: Path, most_tensors: int) -> Any:
    """The header of a safetensors file that may hold so many tensors: {name: {dtype, shape, …}} if it is one.

    Raises:
        CheckpointError: it cannot be read, or is larger than so many tensors need.
    """
    try:
        with open_regular(file) as opened:
            size = os.fstat(opened.fileno()).st_size
            if size < LENGTH_BYTES:
                raise CheckpointError(f"{file} has {size} bytes and is no safetensors file.")
            length = int.from_bytes(opened.read(LENGTH_BYTES), "little")
            limit = min(HEADER_BYTES + HEADER_BYTES_PER_TENSOR * most_tensors, size - LENGTH_BYTES)
            if length > limit:
                raise CheckpointError(f"{file} wants a header of {length:,} bytes where at most {limit:,} make sense.")
            return parse_json(opened.read(length), f"the header of {file}")
    except RunError as error:
        raise CheckpointError(str(error)) from None
    except OSError as error:
        raise CheckpointError(f"{file} cannot be read: {error.strerror or error}.") from None


def _find_problem(header: Any, shapes: Shapes, required: Collection[str]) -> str | None:
    if not isinstance(header, dict):
        return "its header is not a table"
    names = header.keys() - {"__metadata__"}
    if strange := names - shapes.keys():
        return f"the model has no tensor {min(strange)[:200]!r}"
    if absent := set(required) - names:
        return f"the tensor {min(absent)!r} is missing"
    for name in names:
        entry, shape = header[name], list(shapes[name])
        if not isinstance(entry, dict) or entry.get("dtype") != DTYPE:
            return f"the tensor {name!r} is not of dtype {DTYPE}"
        if entry.get("shape") != shape:
            return f"the tensor {name!r} has the shape {str(entry.get('shape'))[:100]} instead of {shape}"
    return None
