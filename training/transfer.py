"""Weights of one model in another of a similar shape: which tensors are kept, which resized, which begin anew.

A tensor that both models have in the same shape is kept. Where a shape differs along an axis whose entries mean
something one by one, these are kept and the others begin as in a new model:

    axis      entries                              matched by
    d_vocab   rows of embedding and unembedding    the token's text, whatever its id
    pos       rows of the learned positions        the position
    d_mlp     hidden units                         their order; the first ones stay

A tensor that is narrower or wider in any other way is new: cutting a head or a residual stream in two keeps nothing
of what it has learned. Tensors that only the old model has are left behind. Only shapes are looked at: with another
number of heads of the same total width the numbers stay and are read otherwise, which the report says beside them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from components.model import Transformer
from config.model_config import ModelConfig
from text.tokenizer import Tokenizer

Shape = tuple[int, ...]
Fate = Literal["kept", "resized", "new", "left behind"]
FATES: tuple[Fate, ...] = ("kept", "resized", "new", "left behind")

# What the axes of a tensor are, by the end of its name; the others have no axis that can be cut.
AXES: dict[str, tuple[str, ...]] = {
    "token_embedding.weight": ("d_vocab", "d_model"),
    "unembedding.weight": ("d_vocab", "d_model"),
    "unembedding.bias": ("d_vocab",),
    "positional_embedding.weight": ("pos", "d_model"),
    "gate_proj.weight": ("d_mlp", "d_model"),
    "up_proj.weight": ("d_mlp", "d_model"),
    "down_proj.weight": ("d_model", "d_mlp"),
    "gate_proj.bias": ("d_mlp",),
    "up_proj.bias": ("d_mlp",),
}
MATCHED = ("d_vocab", "pos", "d_mlp")


@dataclass(frozen=True)
class TensorChange:
    """What becomes of one tensor.

    Attributes:
        shape: in the new model; of a tensor that is left behind, in the old one.
        kept: how many of its numbers are the old model's.
    """

    name: str
    fate: Fate
    shape: Shape
    kept: int

    @property
    def size(self) -> int:
        """Numbers in it."""
        return math.prod(self.shape)


def shapes_of_config(config: ModelConfig) -> dict[str, Shape]:
    """Name and shape of every tensor of a model, without making it."""
    with torch.device("meta"):
        model = Transformer(config)
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def match_tokens(old: Tokenizer, new: Tokenizer) -> np.ndarray:
    """For each token of `new` the id of the same token in `old`, or −1, `[d_vocab]`; special ones match their like."""

    def keys(tokenizer: Tokenizer) -> list[tuple[bool, bytes]]:
        special = set(tokenizer.special_ids.values())
        return [(number in special, token) for number, token in enumerate(tokenizer.token_bytes)]

    known = {key: number for number, key in enumerate(keys(old))}
    return np.array([known.get(key, -1) for key in keys(new)], dtype=np.int64)


def compare(old: Mapping[str, Shape], new: Mapping[str, Shape], tokens: np.ndarray) -> list[TensorChange]:
    """The fate of every tensor of both models, in the order of the new one.

    Args:
        tokens: from `match_tokens`, or `np.arange(d_vocab)` where the tokenizer is the same.
    """
    found = []
    for name, shape in new.items():
        if name not in old or not _fits(name, old[name], shape):
            found.append(TensorChange(name, "new", shape, 0))
            continue
        lengths = [min(before, now) for before, now in zip(old[name], shape, strict=True)]
        same = old[name] == shape
        if is_by_token(name):
            own, theirs = _matched(tokens, old[name][0])
            lengths[0] = len(own)
            same = same and len(own) == shape[0] and torch.equal(own, theirs)
        found.append(TensorChange(name, "kept" if same else "resized", shape, math.prod(lengths)))
    left = [name for name in old if name not in new]
    return found + [TensorChange(name, "left behind", old[name], 0) for name in left]


@torch.no_grad()
def transfer(old: Mapping[str, Tensor], model: nn.Module, tokens: np.ndarray) -> None:
    """Put the tensors of an old model into a new one, as `compare` says; what is new keeps its initial values."""
    for name, target in model.state_dict().items():
        if name not in old or not _fits(name, tuple(old[name].shape), tuple(target.shape)):
            continue
        source = old[name].to(target.device)
        rows = None
        if is_by_token(name):
            own, theirs = _matched(tokens, len(source))
            rows, source = own.to(target.device), source[theirs]
        for axis in range(0 if rows is None else 1, source.dim()):
            length = min(source.shape[axis], target.shape[axis])
            source, target = source.narrow(axis, 0, length), target.narrow(axis, 0, length)
        if rows is None:
            target.copy_(source)
        else:
            target[rows] = source


def is_by_token(name: str) -> bool:
    """Whether the first axis of this tensor has a row for each token."""
    return _axes_of(name)[:1] == ("d_vocab",)


def _fits(name: str, old: Shape, new: Shape) -> bool:
    """Whether the shapes are the same but for axes whose entries can be matched."""
    if old == new:
        return True
    axes = _axes_of(name)
    return len(axes) == len(old) == len(new) and all(
        before == now or axis in MATCHED for axis, before, now in zip(axes, old, new, strict=True)
    )


def _axes_of(name: str) -> Sequence[str]:
    return next((axes for ending, axes in AXES.items() if name.endswith(ending)), ())


def _matched(tokens: np.ndarray, n_old: int) -> tuple[Tensor, Tensor]:
    """Rows of the new model, and the old model's rows that belong there."""
    own = np.flatnonzero((tokens >= 0) & (tokens < n_old))
    return torch.from_numpy(own), torch.from_numpy(tokens[own])
