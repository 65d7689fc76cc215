"""A training loop, whole: draw windows of the text, see how wrong the model is, and move every weight a little.

    for each step:  loss, gradients = there and back;  clip;  AdamW

Run it: `python -m learn.reference.training training.txt`. A model of 26,000 weights reads characters; after a minute
in NumPy on one core it has learned which letters follow which.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from config.model_config import ModelConfig
from learn.reference.adamw import AdamW, clip
from learn.reference.arrays import Array, Weights
from learn.reference.model import initial_weights, loss_and_gradients


def windows(tokens: Array, n_ctx: int, batch: int, seed: int) -> Iterator[tuple[Array, Array]]:
    """Random stretches of the text, and the same stretches one token later, without end."""
    draw = np.random.default_rng(seed)
    while True:
        starts = draw.integers(0, len(tokens) - n_ctx, size=batch)
        stretch = tokens[starts[:, None] + np.arange(n_ctx + 1)]
        yield stretch[:, :-1], stretch[:, 1:]


def train(
    weights: Weights, config: ModelConfig, batches: Iterator[tuple[Array, Array]], steps: int, lr: float
) -> Iterator[float]:
    """Change the weights in place, one step for each loss that is asked for (nats per token, before the step)."""
    optimizer = AdamW()
    for _ in range(steps):
        tokens, targets = next(batches)
        loss, gradients = loss_and_gradients(tokens, targets, weights, config)
        clip(gradients, 1.0)
        optimizer.step(weights, gradients, lr)
        yield loss


def main(path: str, steps: int = 600) -> None:
    """Train on the characters of a text and print the loss."""
    text = Path(path).read_text(encoding="utf-8")
    alphabet = sorted(set(text))
    tokens = np.searchsorted(alphabet, list(text))
    config = ModelConfig(d_model=32, n_layers=2, n_heads=2, d_mlp=64, n_ctx=32, d_vocab=len(alphabet))
    weights = initial_weights(config, seed=1)
    batches = windows(tokens, config.n_ctx, batch=16, seed=1)
    for step, loss in enumerate(train(weights, config, batches, steps, lr=3e-3)):
        if step % 50 == 0 or step == steps - 1:
            print(f"step {step:4d}   loss {loss:.3f} nats per character   (guessing: {np.log(len(alphabet)):.3f})")


if __name__ == "__main__":
    main(sys.argv[1])
