"""RoPE's frequencies, and four ways to slow them down so that a model reads further than it was trained for.

    f_i = θ^(−2i / d)                  radians per position of pair i of d turned dimensions

    linear     f_i / s                 all positions are pressed together, by the factor s
    dynamic    θ' = θ · (s·n/L − (s − 1))^(d / (d − 2))     a larger base, once a text of n tokens is longer than L
    llama3     f_i / s for pairs that turn less than `low` times within L, f_i for those that turn more than `high`
               times, between them a mixture that is linear in the turns
    yarn       the same with another ramp, linear in i, from the pair that turns β_fast times to the one that turns
               β_slow times; and queries and keys become longer by 0.1 · ln(s) + 1

L is the context of the training (rope_original_ctx), s is rope_factor. Fast pairs tell neighbors apart and have seen
all their angles in training; only slow ones meet new angles in a longer text, so that slowing them is enough.
With dynamic scaling all angles change with every token beyond L: keys in a KV cache are out of date there.

Papers: linear, Chen et al. 2023, arXiv:2306.15595, section 2.3; llama3, Llama Team 2024, arXiv:2407.21783, section 3.2,
in the form of its published code; yarn, Peng et al. 2023, arXiv:2309.00071, sections 3.2-3.4, which also names dynamic.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from config.model_config import ModelConfig


def rope_frequencies(config: ModelConfig, n_tokens: int) -> Float[Tensor, "pair"]:
    """Radians per position of each pair, in a text of `n_tokens` (which only dynamic scaling asks for)."""
    width, theta, factor = config.rope_head_dim, config.rope_theta, config.rope_factor
    if config.rope_scaling == "dynamic" and n_tokens > config.rope_trained_ctx and width > 2:
        stretched = factor * n_tokens / config.rope_trained_ctx - (factor - 1)
        theta *= stretched ** (width / (width - 2))
    frequencies = theta ** (-torch.arange(0, width, 2, dtype=torch.float32) / width)
    if config.rope_scaling == "linear":
        return frequencies / factor
    if config.rope_scaling == "llama3":
        return _mixed(frequencies, factor, _share_of_fast_by_turns(frequencies, config))
    if config.rope_scaling == "yarn":
        return _mixed(frequencies, factor, _share_of_fast_by_index(width, config))
    return frequencies


def rope_length(config: ModelConfig) -> float:
    """What turned queries and keys are multiplied by: only YaRN makes them longer."""
    if config.rope_scaling != "yarn":
        return 1.0
    own = config.rope_attention_factor
    return own if own is not None else 0.1 * math.log(config.rope_factor) + 1.0


def _mixed(frequencies: Tensor, factor: float, fast: Float[Tensor, "pair"]) -> Float[Tensor, "pair"]:
    """As they are for fast pairs (1), slowed by the factor for slow ones (0)."""
    return frequencies / factor * (1 - fast) + frequencies * fast


def _share_of_fast_by_turns(frequencies: Tensor, config: ModelConfig) -> Float[Tensor, "pair"]:
    """0 up to `low` turns within the original context, 1 from `high` turns on."""
    low, high = config.rope_low_freq_factor, config.rope_high_freq_factor
    turns = config.rope_trained_ctx * frequencies / (2 * math.pi)
    return ((turns - low) / (high - low)).clamp(0, 1)


def _share_of_fast_by_index(width: int, config: ModelConfig) -> Float[Tensor, "pair"]:
    """1 up to the pair that turns β_fast times within the original context, 0 from the one that turns β_slow times."""

    def pair_that_turns(times: float) -> float:
        return width * math.log(config.rope_trained_ctx / (times * 2 * math.pi)) / (2 * math.log(config.rope_theta))

    first, last = pair_that_turns(config.rope_beta_fast), pair_that_turns(config.rope_beta_slow)
    if config.rope_truncate:
        first, last = math.floor(first), math.ceil(last)
    first, last = max(first, 0), min(last, width - 1)
    last = last if last != first else last + 0.001  # as in the published code: a step instead of a division by 0
    return 1 - ((torch.arange(width // 2, dtype=torch.float32) - first) / (last - first)).clamp(0, 1)
