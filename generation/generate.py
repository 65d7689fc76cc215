"""The loop that writes text: one pass over the prompt, then one token at a time, given out as they come.

`generate` writes one text, `generate_batch` several side by side; row i of a batch is the text that `generate` writes
alone with the same prompt and seed. With a KV cache each step computes only the new token; without, the whole window
again (the way to check the cache). One text at a time goes through a plan (generation/decode_plan.py). How the window
slides when a text outgrows it: generation/window.py.

Random numbers come from a generator of each text's own: the global ones, which training and other sessions share,
stay untouched. So do the model's mode, weights and buffers.

The same seed gives the same text in the same setting. Between settings (implementations, with and without cache, with
and without plan, alone and in a batch) the logits agree up to rounding, about 1e-6; a draw lands on another token when
its uniform number falls into that gap, roughly once in 100,000 tokens.
"""

from collections.abc import Collection, Generator, Sequence
from random import Random
from typing import cast

import torch
from torch import nn

from config.errors import ConfigError, Problem
from config.model_config import ModelConfig
from generation.projections import WEIGHTS
from generation.sampler import Sampler, Text
from generation.step import Step, draw_steps
from generation.window import Window, find_policy_problems

__all__ = ["Step", "generate", "generate_batch"]


def generate(
    model: nn.Module,
    tokens: Sequence[int],
    *,
    max_new_tokens: int,
    samplers: Sampler,
    seed: int,
    use_cache: bool = True,
    vocab_size: int | None = None,
    stop_tokens: Collection[int] = (),
    n_alternatives: int = 0,
    sliding: str = "reencode",
    use_plan: bool = True,
    weights: str = "float32",
    compiled: bool = False,
) -> Generator[Step, None, None]:
    """Continue `tokens`, one `Step` at a time; closing the iterator ends it and frees its cache.

    Args:
        model: from `build_model` or `load_model`; shared freely, it is only read.
        tokens: the prompt, at least one token.
        samplers: a stage or a `Chain`, see `build_samplers`.
        seed: the same seed gives the same tokens.
        vocab_size: of the tokenizer, where the model's vocabulary is padded beyond it; what lies above is never drawn.
        stop_tokens: the text ends with the first of them, which is given out.
        n_alternatives: how many of the model's most likely tokens each step carries.
        sliding: what the cache does when the window is full: "reencode" or "roll".
        use_plan: False sends every token through the model itself.
        weights: "float16" and "int8" round large matrices for the steps of a single text: faster, a little less exact.
        compiled: the steps of a single text multiply large matrices in a kernel that a C compiler builds first.

    Raises:
        ConfigError: at once, before the first step, for settings and tokens that cannot be used, or without a compiler.
        CheckpointError: while stepping, if the model's output is not finite.
    """
    batch = generate_batch(
        model, [tokens], max_new_tokens=max_new_tokens, samplers=samplers, seeds=[seed], use_cache=use_cache,
        vocab_size=vocab_size, stop_tokens=stop_tokens, n_alternatives=n_alternatives, sliding=sliding,
        use_plan=use_plan, weights=weights, compiled=compiled,
    )  # fmt: skip
    return (step for (step,) in batch if step is not None)


def generate_batch(
    model: nn.Module,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    samplers: Sampler,
    seeds: Sequence[int],
    use_cache: bool = True,
    vocab_size: int | None = None,
    stop_tokens: Collection[int] = (),
    n_alternatives: int = 0,
    sliding: str = "reencode",
    use_plan: bool = True,
    weights: str = "float32",
    compiled: bool = False,
) -> Generator[list[Step | None], None, None]:
    """Continue several prompts at once: one list of steps for each place, None for texts that have ended.

    For several samples of one prompt give it several times, with as many seeds. Prompts may differ in length; the
    shorter ones are padded on the left. The other arguments are those of `generate`.

    Raises:
        ConfigError: as `generate`.
    """
    config = cast(ModelConfig, model.config)  # nn.Module's attributes have no type
    use_cache = use_cache and not config.angles_grow  # else every token would make the keys of all others stale
    problems = _find_problems(model, config, prompts, max_new_tokens, seeds)
    problems += find_policy_problems(config, sliding, use_cache, set(map(len, prompts)))
    if weights not in WEIGHTS:
        problems.append(Problem("weights", f"weights {weights!r} must be one of {', '.join(WEIGHTS)}"))
    if problems:
        raise ConfigError(problems)
    capacity = min(config.n_ctx, max(map(len, prompts)) + max_new_tokens) if use_cache else None
    window = Window(model, prompts, capacity, sliding, use_plan, weights, compiled)
    drawable = config.d_vocab if vocab_size is None else min(vocab_size, config.d_vocab)
    texts = [Text(list(prompt), len(prompt)) for prompt in prompts]
    randoms = [Random(seed) for seed in seeds]
    return _steps(window, texts, randoms, max_new_tokens, samplers, drawable, frozenset(stop_tokens), n_alternatives)


def _steps(
    window: Window,
    texts: list[Text],
    randoms: list[Random],
    max_new_tokens: int,
    samplers: Sampler,
    drawable: int,
    stop_tokens: frozenset[int],
    n_alternatives: int,
) -> Generator[list[Step | None], None, None]:
    ended = [False] * len(texts)
    for _ in range(max_new_tokens):
        # Entered anew for each token: around the yield it would leak into whoever asks for the next one.
        with torch.inference_mode():
            logits = window.next_logits()[:, :drawable]
            uniforms = [random.random() for random in randoms]
            drawn = draw_steps(logits, samplers, texts, uniforms, n_alternatives)
        window.append([step.token for step in drawn])
        steps: list[Step | None] = []
        for place, step in enumerate(drawn):  # a text that has ended is still computed, for its neighbours' sake
            steps.append(None if ended[place] else step)
            texts[place].tokens.append(step.token)
            ended[place] |= step.token in stop_tokens
        yield steps
        if all(ended):
            return


def _find_problems(
    model: nn.Module,
    config: ModelConfig,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    seeds: Sequence[int],
) -> list[Problem]:
    problems = []
    if max_new_tokens < 0:
        problems.append(Problem("max_new_tokens", f"max_new_tokens {max_new_tokens} must not be negative"))
    if len(seeds) != len(prompts):
        problems.append(Problem("seed", f"{len(prompts)} prompts need as many seeds, not {len(seeds)}"))
    if seeds and min(seeds) < 0:  # Random would take −1 for 1
        problems.append(Problem("seed", f"seed {min(seeds)} must not be negative"))
    if not prompts or not all(prompts):
        problems.append(Problem("tokens", "there is nothing to continue: give at least one token"))
    for tokens in filter(None, prompts):
        if not 0 <= min(tokens) <= max(tokens) < config.d_vocab:
            out = next(token for token in tokens if not 0 <= token < config.d_vocab)
            message = f"token {out} is not in the model's vocabulary of {config.d_vocab}: is this its own tokenizer?"
            problems.append(Problem("tokens", message))
    if model.training and config.dropout > 0:
        message = f"the model is in training mode with dropout {config.dropout}: call model.eval() first"
        problems.append(Problem("model", message))
    return problems
