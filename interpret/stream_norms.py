"""How large the values are: the residual stream after every layer, what each part adds to it, and single neurons.

    norm = ‖x‖₂ over d_model, for each layer and position

In a pre-norm model the stream grows from layer to layer, because everything is added and nothing divides it; a part
whose addition is small beside the stream changes little. Some models write one huge vector at the first token, which
serves attention as a place to look at when there is nothing to find (Sun et al. 2024, arXiv:2402.17762).

A neuron is one of the d_mlp hidden values of an MLP. What it answers to can be read off the text where it is large
(Geva et al. 2020, arXiv:2012.14913, section 3): most answer to many unrelated things.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from components.model import Transformer
from interpret.activations import capture, layer_points, points_of

NEURON_POINT = "hook_post"


@dataclass(frozen=True)
class StreamNorms:
    """Euclidean norms for one text; stage 0 of the stream is the embedding, stage l is after layer l."""

    stream: Float[Tensor, "stage pos"]
    attention: Float[Tensor, "layer pos"]
    mlp: Float[Tensor, "layer pos"]


def stream_norms(model: Transformer, tokens: Int[Tensor, "pos"]) -> StreamNorms:
    """The norms of the stream, and of what attention and MLP of each layer add to it."""
    stream = ["blocks.0.hook_resid_pre", *layer_points(model, "hook_resid_post").values()]
    attention = list(layer_points(model, "hook_attn_out").values())
    mlp = list(layer_points(model, "hook_mlp_out").values())
    found = capture(model, tokens[None], {*stream, *attention, *mlp}).values
    norms = [torch.stack([found[name][0].norm(dim=-1) for name in names]) for names in (stream, attention, mlp)]
    return StreamNorms(*norms)


def neuron_places(model: Transformer) -> list[str]:
    """The points with neurons: one in each layer, or one in each expert of each layer."""
    return [name for name in points_of(model) if name.endswith(f".{NEURON_POINT}")]


def neuron_activations(model: Transformer, tokens: Int[Tensor, "pos"], place: str) -> Float[Tensor, "pos d_mlp"]:
    """The neurons at one of `neuron_places`, for one text."""
    return capture(model, tokens[None], [place]).values[place].reshape(len(tokens), -1)


def most_varied(neurons: Float[Tensor, "pos d_mlp"], count: int) -> list[int]:
    """The neurons whose value varies most over the text, most varied first: where there is something to see."""
    return neurons.std(dim=0, correction=0).topk(min(count, neurons.shape[1])).indices.tolist()
