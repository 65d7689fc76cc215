"""Looks into a model while it computes: keeps the values at its activation points, or puts others in their place.

    found = capture(model, tokens, layer_points(model, "attn.hook_pattern").values())
    found.values["blocks.0.attn.hook_pattern"]                     [batch head query key]

    with hooked(model, {"blocks.1.hook_mlp_out": torch.zeros_like}):
        logits = model(tokens)                                     as if the second block had no MLP

The points and their names are those of components/activation_point.py, in TransformerLens' words. Looking changes
nothing: the logits are equal bit for bit with captures and without. Only the einops implementation has points, and a
checkpoint of any other opens in it (`training.checkpoint.load_model(path, "einops")`) with the same parameters.
"""

import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from components.activation_point import ActivationPoint
from components.model import Transformer

MOST_BYTES = 512 * 1024**2
# Our names of parts, and TransformerLens'.
RENAMED = {"attention": "attn", "attention_norm": "ln1", "mlp_norm": "ln2", "final_norm": "ln_final"}

Hook = Callable[[Tensor], Tensor | None]

# Hooks belong to the module, and one model serves every browser session: what one has switched off, none else may see.
_one_at_a_time = threading.RLock()


@dataclass(frozen=True)
class Activations:
    """One forward pass: its logits, and the values at the points that were asked for."""

    logits: Float[Tensor, "batch pos d_vocab"]
    values: dict[str, Tensor] = field(default_factory=dict)


def points_of(model: Transformer) -> dict[str, ActivationPoint]:
    """All points of a model by their names, in the order of its parts.

    Raises:
        ValueError: it is not the einops implementation.
    """
    if model.implementation != "einops":
        raise ValueError(
            f"the {model.implementation} implementation has no activation points: "
            'open the same checkpoint with implementation "einops", which has the same parameters'
        )
    parts = model.named_modules()
    return {public_name(path): part for path, part in parts if isinstance(part, ActivationPoint)}


def public_name(path: str) -> str:
    """blocks.0.attn.hook_pattern, from the place of the point in our modules: blocks.0.attention.hook_pattern."""
    name = ".".join(RENAMED.get(part, part) for part in path.split("."))
    return name.removeprefix("positional_embedding.")


def layer_points(model: Transformer, suffix: str) -> dict[int, str]:
    """The points `blocks.N.{suffix}` by N; layers whose components do not have this one are left out."""
    names = points_of(model)
    wanted = {layer: f"blocks.{layer}.{suffix}" for layer in range(model.config.n_layers)}
    return {layer: name for layer, name in wanted.items() if name in names}


@contextmanager
def hooked(model: Transformer, hooks: Mapping[str, Hook]) -> Iterator[None]:
    """While it lasts, each function gets the value at its point; what it returns, unless None, goes on instead of it.

    Raises:
        ValueError: the model has no point of that name.
    """
    points = points_of(model)
    if missing := [name for name in hooks if name not in points]:
        raise ValueError(f"this model has no activation point {missing[0]!r}; `points_of` lists those it has")

    def calling(hook: Hook) -> Callable[[object, object, Tensor], Tensor | None]:
        return lambda module, inputs, value: hook(value)

    with _one_at_a_time:
        handles = [points[name].register_forward_hook(calling(hook)) for name, hook in hooks.items()]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


def capture(
    model: Transformer, tokens: Int[Tensor, "batch pos"], names: Collection[str], most_bytes: int = MOST_BYTES
) -> Activations:
    """Run the model once and keep the values at these points.

    Raises:
        ValueError: there is no such point, or together the values take more memory than `most_bytes`.
    """
    kept: dict[str, Tensor] = {}
    used_bytes = 0

    def keep(name: str) -> Hook:
        def hook(value: Tensor) -> None:
            nonlocal used_bytes
            used_bytes += value.nbytes
            if used_bytes > most_bytes:
                raise ValueError(
                    f"{len(names)} activations of {tokens.shape[1]:,} tokens take more than {most_bytes / 1e6:,.0f} MB "
                    f"({name} alone {value.nbytes / 1e6:,.0f} MB): take a shorter text, or fewer layers at a time"
                )
            kept[name] = value.clone()  # a view of queries would keep keys and values, too

        return hook

    with torch.no_grad(), hooked(model, {name: keep(name) for name in names}):
        return Activations(model(tokens), kept)
