"""The loop that writes text: one pass over the prompt, then one token at a time, given out as they come.

With a KV cache each step computes only the new token; without, the whole window again (the way to check the cache).

The window. A model sees n_ctx tokens. A longer prompt loses its beginning: the last n_ctx tokens count. When the window
is full, it slides by half: the most recent n_ctx // 2 tokens are encoded anew from position 0 and fill up again. This
is right for every position scheme, learned ones included, whose cached keys are tied to absolute positions and cannot
move; it costs one pass of n_ctx / 2 tokens every n_ctx / 2 tokens. With and without cache the window is the same.

Random numbers come from a generator of this call's own: the global ones, which training and other sessions share,
stay untouched. So do the model's mode, weights and buffers.
"""

from collections.abc import Generator, Sequence
from random import Random
from typing import NamedTuple, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from components.kv_cache import KVCache
from config.errors import ConfigError, Problem
from config.model_config import ModelConfig
from generation.samplers import Sampler, draw


class Step(NamedTuple):
    """One generated token, and the probability the model itself gave it (before temperature and the other stages)."""

    token: int
    probability: float


def generate(
    model: nn.Module,
    tokens: Sequence[int],
    *,
    max_new_tokens: int,
    samplers: Sampler,
    seed: int,
    use_cache: bool = True,
    vocab_size: int | None = None,
) -> Generator[Step, None, None]:
    """Continue `tokens`, one `Step` at a time; closing the iterator ends it and frees its cache.

    Args:
        model: from `build_model` or `load_model`; shared freely, it is only read.
        tokens: the prompt, at least one token.
        samplers: a stage or a `Chain`, see `build_samplers`.
        seed: the same seed gives the same tokens.
        vocab_size: of the tokenizer, where the model's vocabulary is padded beyond it; what lies above is never drawn.

    Raises:
        ConfigError: at once, before the first step, for settings and tokens that cannot be used.
        CheckpointError: while stepping, if the model's output is not finite.
    """
    config = cast(ModelConfig, model.config)  # nn.Module's attributes have no type
    if problems := _find_problems(model, config, tokens, max_new_tokens, seed):
        raise ConfigError(problems)
    drawable = config.d_vocab if vocab_size is None else min(vocab_size, config.d_vocab)
    capacity = min(config.n_ctx, len(tokens) + max_new_tokens) if use_cache else None
    return _steps(_Window(model, config, tokens, capacity), max_new_tokens, samplers, Random(seed), drawable)


def _find_problems(
    model: nn.Module, config: ModelConfig, tokens: Sequence[int], max_new_tokens: int, seed: int
) -> list[Problem]:
    problems = []
    if max_new_tokens < 0:
        problems.append(Problem("max_new_tokens", f"max_new_tokens {max_new_tokens} must not be negative"))
    if seed < 0:  # Random would take −1 for 1
        problems.append(Problem("seed", f"seed {seed} must not be negative"))
    if not tokens:
        problems.append(Problem("tokens", "there is nothing to continue: give at least one token"))
    elif not 0 <= min(tokens) <= max(tokens) < config.d_vocab:
        out = next(token for token in tokens if not 0 <= token < config.d_vocab)
        message = f"token {out} is not in the model's vocabulary of {config.d_vocab}: is this its own tokenizer?"
        problems.append(Problem("tokens", message))
    if model.training and config.dropout > 0:
        message = f"the model is in training mode with dropout {config.dropout}: call model.eval() first"
        problems.append(Problem("model", message))
    return problems


def _steps(
    window: "_Window", max_new_tokens: int, samplers: Sampler, random: Random, drawable: int
) -> Generator[Step, None, None]:
    for _ in range(max_new_tokens):
        # Entered anew for each token: around the yield it would leak into whoever asks for the next one.
        with torch.inference_mode():
            logits = window.next_logits()[:, :drawable].float().cpu()
            choice = draw(samplers(logits), [random.random()])  # [batch 1]
            probability = logits.softmax(dim=-1).gather(-1, choice)
        step = Step(int(choice), float(probability))
        window.tokens.append(step.token)
        yield step


class _Window:
    """The tokens the model sees, and how far the cache knows them."""

    def __init__(self, model: nn.Module, config: ModelConfig, tokens: Sequence[int], capacity: int | None) -> None:
        self.model = model
        self.n_ctx = config.n_ctx
        self.tokens = list(tokens[-self.n_ctx :])
        weight = next(model.parameters())
        self.device = weight.device
        self.cache = None
        if capacity is not None:
            with torch.inference_mode():
                self.cache = KVCache(config, batch=1, capacity=capacity, device=weight.device, dtype=weight.dtype)

    def next_logits(self) -> Float[Tensor, "1 d_vocab"]:
        """Logits after the last token; with a cache, only tokens it has not seen are computed."""
        if len(self.tokens) > self.n_ctx:
            self.tokens = self.tokens[-max(1, self.n_ctx // 2) :]
            if self.cache is not None:
                self.cache.reset()
        unseen = self.tokens if self.cache is None else self.tokens[self.cache.length :]
        return self.model(torch.tensor([unseen], device=self.device), cache=self.cache)[:, -1]
