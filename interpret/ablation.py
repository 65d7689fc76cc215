"""Switches parts of a model off and says what it costs: the change of the loss on one text.

    change = loss(without the part) − loss(whole)        nats per token; above 0: the model needs the part here

`zero` takes away all that a part says. `mean` replaces it by its mean over the text, which takes away only what differs
from token to token: kinder, because the rest of the model is used to the mean (Wang et al. 2022, arXiv:2211.00593,
section 2.1). That single heads can be taken out is from Michel et al. 2019, arXiv:1905.10650.

All parts in one pass: the text stands in the batch once for every part, and each row misses another one. So the map of
a model with 4 layers of 4 heads costs one forward pass with 1 + 28 rows, not 29 passes.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Int
from torch import Tensor

from components.model import Transformer
from interpret.activations import Hook, hooked, points_of

REPLACEMENTS = ("zero", "mean")
MOST_BYTES = 256 * 1024**2  # of one pass
# Which points a part of this kind writes at; a head is one row of hook_z.
WRITES = {"attention": ("hook_attn_out",), "mlp": ("hook_mlp_out",), "layer": ("hook_attn_out", "hook_mlp_out")}


@dataclass(frozen=True, order=True)
class Part:
    """Something that can be switched off."""

    layer: int
    kind: str
    """head, attention (all heads of the layer), mlp, or layer (both)."""

    head: int | None = None

    def __str__(self) -> str:
        return f"layer {self.layer}" + (f" head {self.head}" if self.kind == "head" else f" {self.kind}")


@dataclass(frozen=True)
class Effect:
    """What it costs to do without a part, in nats per token."""

    part: Part
    loss: float
    change: float


def parts_of(model: Transformer) -> list[Part]:
    """All that can be switched off: of every layer its heads, its attention, its MLP, and itself."""
    names = points_of(model)
    found = []
    for layer in range(model.config.n_layers):
        heads = range(model.config.n_heads if f"blocks.{layer}.attn.hook_z" in names else 0)
        found += [Part(layer, "head", head) for head in heads]
        found += [Part(layer, kind) for kind in WRITES if all(f"blocks.{layer}.{p}" in names for p in WRITES[kind])]
    return found


def importance(model: Transformer, tokens: Int[Tensor, "pos"], replacement: str = "mean") -> tuple[float, list[Effect]]:
    """The loss of the whole model, and what every part is worth.

    Raises:
        ValueError: as `losses_without`.
    """
    parts = parts_of(model)
    whole, *without = losses_without(model, tokens, [(), *((part,) for part in parts)], replacement)
    return whole, [Effect(part, loss, loss - whole) for part, loss in zip(parts, without, strict=True)]


def losses_without(
    model: Transformer, tokens: Int[Tensor, "pos"], rows: Sequence[Collection[Part]], replacement: str = "mean"
) -> list[float]:
    """The loss on the text for each row, with all its parts switched off; nats per token.

    Raises:
        ValueError: a text of one token has no loss, or there is no such replacement or part.
    """
    if len(tokens) < 2:
        raise ValueError("a loss needs at least two tokens: one to read and one to guess")
    if replacement not in REPLACEMENTS:
        raise ValueError(f"there is no replacement {replacement!r}; choose one of {', '.join(REPLACEMENTS)}")
    known = set(parts_of(model))
    if strangers := [part for parts in rows for part in parts if part not in known]:
        raise ValueError(f"this model has no {strangers[0]} that can be switched off")
    step = max(1, MOST_BYTES // _row_bytes(model, len(tokens)))
    losses: list[float] = []
    for start in range(0, len(rows), step):
        some = rows[start : start + step]
        with torch.no_grad(), hooked(model, _hooks(some, replacement)):
            logits = model(tokens.expand(len(some), -1))[:, :-1].float()  # [row pos d_vocab]
        truth = tokens[1:].expand(len(some), -1)
        losses += F.cross_entropy(logits.transpose(1, 2), truth, reduction="none").mean(dim=1).tolist()
    return losses


def _hooks(rows: Sequence[Collection[Part]], replacement: str) -> dict[str, Hook]:
    """For each point that a switched-off part writes at, what puts the replacement there in that part's rows."""
    places: dict[str, list[tuple[int, ...]]] = {}
    for row, parts in enumerate(rows):
        for part in parts:
            if part.head is not None:
                places.setdefault(f"blocks.{part.layer}.attn.hook_z", []).append((row, part.head))
                continue
            for point in WRITES[part.kind]:
                places.setdefault(f"blocks.{part.layer}.{point}", []).append((row,))
    return {point: _replacing(indices, replacement) for point, indices in places.items()}


def _replacing(indices: Sequence[tuple[int, ...]], replacement: str) -> Hook:
    def hook(value: Tensor) -> Tensor:
        value = value.clone()
        for index in indices:  # value[index]: [pos d_model] of a row, or [pos d_head] of a row's head
            value[index] = 0.0 if replacement == "zero" else value[index].mean(dim=0)
        return value

    return hook


def _row_bytes(model: Transformer, length: int) -> int:
    """What one row takes in float32, roughly: scores and pattern of a layer, streams, hidden layer, logits."""
    config = model.config
    width = 2 * config.n_heads * length + 8 * config.d_model + 4 * config.d_mlp + 3 * config.d_vocab
    return 4 * length * width
