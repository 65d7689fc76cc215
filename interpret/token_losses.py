"""What a model pays for each token of a text, and the same for each byte, so that different tokenizers compare."""

import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from text.batches import sequential_windows
from text.tokenizer import Tokenizer

TOKENS_AT_ONCE, LOGITS_AT_ONCE = 2**11, 2**23  # what stays in the processor's cache, and 32 MB of scores


@torch.no_grad()
def token_losses(
    model: nn.Module,
    tokens: np.ndarray,
    *,
    n_ctx: int,
    d_vocab: int,
    go_on: Callable[[int], bool] = lambda done: True,
) -> np.ndarray:
    """Loss of every token but the first, in nats, `[token]`: window after window, as a run scores its whole split.

    Args:
        go_on: asked after each batch, with the tokens scored so far; False ends it there.

    Raises:
        TextError: the text is shorter than a window.
    """
    rows = max(1, min(TOKENS_AT_ONCE, LOGITS_AT_ONCE // d_vocab) // n_ctx)
    found: list[torch.Tensor] = []
    done = 0
    for inputs, targets in sequential_windows(tokens, n_ctx, rows):
        logits = model(inputs).float()  # [batch pos d_vocab]
        found.append(F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none"))
        done += targets.numel()
        if not go_on(done):
            break
    return torch.cat(found).double().numpy()


def per_byte(losses: np.ndarray, tokens: np.ndarray, tokenizer: Tokenizer) -> np.ndarray:
    """The same losses in bits, spread evenly over the bytes of their tokens, `[byte]`; their sum stays what it is.

    `<|endoftext|>` has the bytes of its text here, so that it lines up with a tokenizer that reads it as text. A token
    without any bytes is paid for by the byte before it, or by the first one.
    """
    lengths = np.array([len(token) for token in tokenizer.token_bytes])[tokens.astype(np.int64)]  # [token]
    bits = losses / math.log(2)
    spread = np.repeat(bits / np.maximum(lengths, 1), lengths)
    empty = lengths == 0
    if empty.any() and spread.size:
        ends = np.maximum(np.cumsum(lengths) - 1, 0)
        np.add.at(spread, ends[empty], bits[empty])
    return spread
