"""The weights of a Hugging Face folder: model.safetensors, or several files with an index. Never a pickle.

The headers of all files are compared with what the configuration asks for before any tensor is read. Then the tensors
are read one by one, turned to float32 (exact from float16 and bfloat16) and put where our model has them.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from config.errors import CheckpointError, RunError
from config.model_config import ModelConfig
from interop.family import Family
from interop.tensor_names import Link, Names, to_ours, to_theirs
from runs.files import read_json, write_json
from training.gate import read_header

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
DTYPES = ("F32", "F16", "BF16")
MOST_SHARDS = 1_000
SHARD_BYTES = 5_000_000_000
NAMED = 5  # tensors told in one sentence


@dataclass(frozen=True)
class Stored:
    """A tensor in a file, before it is read."""

    file: Path
    name: str
    dtype: Any
    shape: Any


class StoredTensors(Mapping[str, Tensor]):
    """Tensors by the names that their family gives them; each is read when it is asked for, as float32."""

    def __init__(self, places: Mapping[str, Stored]) -> None:
        self._places = places

    def __getitem__(self, name: str) -> Tensor:
        stored = self._places[name]
        try:
            with safe_open(stored.file, "pt") as opened:
                tensor = opened.get_tensor(stored.name).to(torch.float32)
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{stored.file} cannot be read as safetensors: {error}.") from None
        if not torch.isfinite(tensor).all():
            raise CheckpointError(f"{stored.file} holds numbers that are not finite, in {stored.name}.")
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def read_weights(folder: Path, family: Family, config: ModelConfig, shapes: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of our model from their folder, in float32.

    Args:
        shapes: our model's state dict on the device "meta".

    Raises:
        CheckpointError: a file is missing, damaged or a pickle, or its tensors are not exactly those of the
            configuration: those left over and those missing are named.
    """
    names = family.names_of(config)
    links = names.links(shapes)
    expected = {name: tuple(tensor.shape) for name, tensor in to_theirs(links, shapes, config)}
    found = list_tensors(folder, 2 * len(expected))
    stored, extra = _place(found, names, expected)
    tied = [place for place in extra if config.tie_embeddings and place.name in names.head_names]
    _compare(folder, stored, expected, [place.name for place in extra if place not in tied])
    tensors = StoredTensors(stored)
    for place in tied:
        _check_tied(folder, place, tensors, links)
    return {name: tensor.contiguous() for name, tensor in to_ours(links, tensors, config)}


def list_tensors(folder: Path, most_tensors: int) -> list[Stored]:
    """Every tensor in the files of a folder, from their headers alone.

    Raises:
        CheckpointError: there is no such file, or one cannot be used.
    """
    found = []
    for file in find_files(folder):
        header = read_header(file, most_tensors)
        if not isinstance(header, dict) or not all(isinstance(entry, dict) for entry in header.values()):
            raise CheckpointError(f"{file} is no safetensors file: its header is not a table of tensors.")
        found += [
            Stored(file, name, entry.get("dtype"), entry.get("shape"))
            for name, entry in header.items()
            if name != "__metadata__"
        ]
    return found


def find_files(folder: Path) -> list[Path]:
    """The safetensors files of a folder, links followed: the cache of the hub consists of links.

    Raises:
        CheckpointError: there is none; a pickle in its place is refused.
    """
    if (folder / INDEX).exists():
        return [file.resolve() for file in _files_of_index(folder)]
    if (folder / WEIGHTS).exists():
        return [(folder / WEIGHTS).resolve()]
    if pickles := sorted(path.name for path in folder.iterdir() if path.suffix in PICKLES):
        raise CheckpointError(
            f"{folder} has its weights in {pickles[0]}, a pickle, which can run code when it is loaded: it was not "
            f"opened. Get {WEIGHTS} of the same model."
        )
    raise CheckpointError(f"{folder} has no weights: there is no {WEIGHTS} and no {INDEX} in it.")


def _files_of_index(folder: Path) -> list[Path]:
    try:
        index = read_json((folder / INDEX).resolve())
    except RunError as error:
        raise CheckpointError(str(error)) from None
    places = index.get("weight_map") if isinstance(index, dict) else None
    names = set(places.values()) if isinstance(places, dict) and places else set()
    if not names or len(names) > MOST_SHARDS or not all(isinstance(name, str) for name in names):
        raise CheckpointError(f"{folder / INDEX} is damaged: it has no weight_map that names files.")
    for name in sorted(names):
        if not re.fullmatch(r"[\w.-]+\.safetensors", name, re.ASCII) or not (folder / name).exists():
            raise CheckpointError(f"{folder / INDEX} names {name[:100]!r}, which is not a safetensors file beside it.")
    return [folder / name for name in sorted(names)]


def _place(
    found: Collection[Stored], names: Names, expected: Mapping[str, Any]
) -> tuple[dict[str, Stored], list[Stored]]:
    """The found tensors by the names that are expected, and those that nobody expects; ignored ones are in neither."""
    stored: dict[str, Stored] = {}
    extra = []
    for place in found:
        name = next((name for name in (place.name, names.prefix + place.name) if name in expected), None)
        if name is not None and name not in stored:
            stored[name] = place
        elif not re.fullmatch(names.ignored, place.name):
            extra.append(place)
    return stored, extra


def _compare(folder: Path, stored: Mapping[str, Stored], expected: Mapping[str, Any], extra: list[str]) -> None:
    absent = sorted(expected.keys() - stored.keys())
    if extra or absent:
        told = [f"it has no place for {_list(extra)}"] if extra else []
        told += [f"it lacks {_list(absent)}"] if absent else []
        raise CheckpointError(f"{folder} does not hold the weights of its config.json: {'; '.join(told)}.")
    for name, place in stored.items():
        if place.dtype not in DTYPES:
            raise CheckpointError(
                f"{place.name} in {place.file.name} is of dtype {str(place.dtype)[:20]}, which is not one of "
                f"{', '.join(DTYPES)}: quantized weights cannot be read."
            )
        if place.shape != list(expected[name]):
            raise CheckpointError(
                f"{place.name} in {place.file.name} has the shape {str(place.shape)[:100]}, but config.json asks for "
                f"{list(expected[name])}."
            )


def _check_tied(folder: Path, head: Stored, tensors: StoredTensors, links: Collection[Link]) -> None:
    """A tied model needs no head; a file that carries one all the same must carry the embedding again."""
    embedding = next(link.theirs[0] for link in links if link.ours == ("token_embedding.weight",))
    if not torch.equal(StoredTensors({"head": head})["head"], tensors[embedding]):
        raise CheckpointError(
            f"{folder} says that its head is its embedding (tie_word_embeddings), but {head.name} holds other numbers."
        )


def _list(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(name[:100] for name in names[:NAMED]) + more


def write_weights(folder: Path, family: Family, config: ModelConfig, ours: Mapping[str, Tensor]) -> None:
    """The tensors of our model as their files: one, or above 5 GB several with an index.

    Raises:
        OSError, SafetensorError: the disk is full or gone.
    """
    shards: list[dict[str, Tensor]] = [{}]
    size = 0
    for name, tensor in to_theirs(family.names_of(config).links(ours), ours, config):
        if size + tensor.nbytes > SHARD_BYTES and shards[-1]:
            shards.append({})
            size = 0
        shards[-1][name] = tensor.contiguous()
        size += tensor.nbytes
    places: dict[str, str] = {}
    for number, shard in enumerate(shards, start=1):
        file = WEIGHTS if len(shards) == 1 else f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        save_file(shard, folder / file, metadata={"format": "pt"})
        (folder / file).chmod(0o644)  # it is made so that only its owner may read it
        places |= dict.fromkeys(shard, file)
    if len(shards) == 1:
        return
    total = sum(tensor.nbytes for shard in shards for tensor in shard.values())
    write_json(folder / INDEX, {"metadata": {"total_size": total}, "weight_map": places})
