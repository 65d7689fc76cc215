"""Logit lens: what the model would say if it stopped after this layer.

    lens[l] = softmax(unembedding(final_norm(x_l)))        x_l: the residual stream after layer l, x_0 the embeddings

Source: nostalgebraist 2020, "interpreting GPT: the logit lens"; Belrose et al. 2023, arXiv:2303.08112, section 2, on
where it misleads. Shapes: tokens [pos] -> [stage pos], n_layers + 1 stages. The last stage is what the model says.

Every layer only adds to the stream, so what stands there halfway can be read with the same final norm and unembedding.
In trained models the guess becomes sharper from layer to layer. That early stages say nonsense proves nothing: no layer
was trained to be read so. In a post-norm model each layer ends normalized, and there is no final norm to apply.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from components.model import Transformer
from interpret.activations import capture, layer_points

MOST_LOGITS = 32 * 1024**2  # computed at once: 128 MB


@dataclass(frozen=True)
class LogitLens:
    """The guesses of every stage at every position; stage 0 is the embedding, stage l is after layer l."""

    tokens: Int[Tensor, "stage pos guess"]
    """The likeliest next tokens, likeliest first."""

    probabilities: Float[Tensor, "stage pos guess"]

    truth_rank: Int[Tensor, "stage pos"]
    """1 where the token that really comes next is the likeliest; 0 at the last position, where none comes."""

    truth_probability: Float[Tensor, "stage pos"]
    """Of the token that really comes next; 0 at the last position."""


@torch.no_grad()
def logit_lens(model: Transformer, tokens: Int[Tensor, "pos"], guesses: int = 5) -> LogitLens:
    """Read the residual stream of one text after every layer.

    Raises:
        ValueError: the values do not fit in memory.
    """
    names = ["blocks.0.hook_resid_pre", *layer_points(model, "hook_resid_post").values()]
    stream = capture(model, tokens[None], names).values
    guesses = min(guesses, model.config.d_vocab)
    truth = torch.cat((tokens[1:], tokens.new_zeros(1)))
    stages = []
    for name in names:
        pieces = [_read(logits, truth[rows], guesses) for rows, logits in _logits(model, stream[name])]
        stages.append([torch.cat(column) for column in zip(*pieces, strict=True)])
    top, probabilities, rank, probability = (torch.stack(column) for column in zip(*stages, strict=True))
    rank[:, -1], probability[:, -1] = 0, 0.0
    return LogitLens(top, probabilities, rank, probability)


@torch.no_grad()
def next_by_stage(
    model: Transformer, tokens: Int[Tensor, "pos"], guesses: int
) -> tuple[Int[Tensor, "guess"], Float[Tensor, "stage d_vocab"]]:
    """The likeliest tokens after the text, and the whole distribution there after every layer."""
    names = ["blocks.0.hook_resid_pre", *layer_points(model, "hook_resid_post").values()]
    stream = capture(model, tokens[None], names).values
    last = torch.cat([stream[name][:, -1:] for name in names], dim=1)  # [1 stage d_model]
    probabilities = torch.cat([logits for _, logits in _logits(model, last)]).softmax(dim=-1)
    return probabilities[-1].topk(min(guesses, model.config.d_vocab)).indices, probabilities


def _logits(
    model: Transformer, stream: Float[Tensor, "1 pos d_model"]
) -> Iterator[tuple[slice, Float[Tensor, "some d_vocab"]]]:
    """The stream as logits, a few positions at a time: a large vocabulary times a long text is large."""
    step = max(1, MOST_LOGITS // model.config.d_vocab)
    for start in range(0, stream.shape[1], step):
        rows = slice(start, start + step)
        yield rows, model.unembedding(model.final_norm(stream[:, rows]), model.token_embedding.weight)[0].float()


def _read(
    logits: Float[Tensor, "some d_vocab"], truth: Int[Tensor, "some"], guesses: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Likeliest tokens, their probabilities, and rank and probability of the true one."""
    probabilities = logits.softmax(dim=-1)
    top = probabilities.topk(guesses)
    of_truth = probabilities.gather(1, truth[:, None])  # [some 1]
    rank = 1 + (probabilities > of_truth).sum(dim=-1)
    return top.indices, top.values, rank, of_truth[:, 0]
