"""The learning rate of each step: a linear warm-up, then a fall to min_lr.

Computed from the step alone, so a resumed run needs no scheduler state. Cosine: Loshchilov & Hutter 2016,
arXiv:1608.03983, eq. 5 with one cycle.
"""

import math

from config.run_config import RunConfig
from config.train_config import TrainConfig


def learning_rate(step: int, config: TrainConfig, max_steps: int) -> float:
    """The rate of the update that follows `step` finished ones (0 is the first)."""
    warmup = config.warmup_of(max_steps)
    if step < warmup:
        return config.lr * (step + 1) / warmup
    if config.schedule == "constant":
        return config.lr
    progress = (step - warmup) / max(1, max_steps - warmup)  # 0 to 1
    remaining = 1 - progress if config.schedule == "linear" else (1 + math.cos(math.pi * progress)) / 2
    return config.final_lr + (config.lr - config.final_lr) * remaining


def steps_of(config: RunConfig, train_tokens: int) -> int:
    """Optimizer steps of the run: max_steps, or what the asked epochs amount to."""
    if config.training.epochs is None:
        return config.training.max_steps
    tokens_per_step = config.training.batch_size * config.model.n_ctx
    return max(1, math.ceil(config.training.epochs * train_tokens / tokens_per_step))
