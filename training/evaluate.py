"""How well a model predicts text it has never trained on."""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from text.batches import get_batch


def next_token_loss(logits: Float[Tensor, "batch pos d_vocab"], targets: Int[Tensor, "batch pos"]) -> Float[Tensor, ""]:
    """Mean negative log-likelihood of the targets, in nats per token."""
    return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())


@torch.no_grad()
def validation_loss(
    model: nn.Module,
    tokens: np.ndarray,
    *,
    n_batches: int,
    batch_size: int,
    n_ctx: int,
    seed: int,
    precision: AbstractContextManager[object],
    should_stop: Callable[[], bool] = lambda: False,
) -> float:
    """Mean loss in nats per token over `n_batches` batches of the validation split.

    The batches are the same at every call, drawn apart from those of training: two evaluations differ only by the
    model, and how often one evaluates never changes the training.
    """
    device = next(model.parameters()).device
    model.eval()
    losses = []
    for index in range(n_batches):
        inputs, targets = get_batch(tokens, index, batch_size=batch_size, n_ctx=n_ctx, seed=seed, stream="val")
        with precision:
            losses.append(next_token_loss(model(inputs.to(device)), targets.to(device)))
        if should_stop():
            break
    model.train()
    return torch.stack(losses).mean().item()


def bits_per_byte(nats_per_token: float, tokens: int, text_bytes: int) -> float:
    """The same loss per UTF-8 byte of the text, in bits: comparable between tokenizers."""
    return nats_per_token * tokens / text_bytes / math.log(2)
