"""RoPE in parts, in both styles, and stretched: literal values, and the published code on many settings."""

import math

import pytest
import torch

from components.registry import resolve
from components.rope_scaling import rope_frequencies, rope_length
from config.catalog import IMPLEMENTATIONS
from config.model_config import ModelConfig

every_implementation = pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
close = torch.testing.assert_close


def stretched(**changes) -> ModelConfig:
    return ModelConfig(**{"position": "rope", "d_head": 128, "n_ctx": 32} | changes)


def test_llama_3_1_keeps_its_fast_pairs_and_slows_the_others() -> None:
    config = stretched(rope_theta=500_000.0, rope_scaling="llama3", rope_factor=8.0, rope_original_ctx=8192)
    plain, scaled = rope_frequencies(config.replace(rope_scaling="none"), 1), rope_frequencies(config, 1)
    assert torch.equal(scaled[:29], plain[:29]) and torch.equal(scaled[35:], plain[35:] / 8)
    for pair, value in ((29, 0.00216657), (30, 0.00137189), (34, 1.78508e-4), (35, 9.55621e-5)):
        assert scaled[pair].item() == pytest.approx(value, rel=1e-5)


def test_yarn_makes_queries_and_keys_longer() -> None:
    assert rope_length(stretched(rope_scaling="yarn", rope_factor=32.0)) == pytest.approx(1.3465736)  # gpt-oss
    assert rope_length(stretched(rope_scaling="yarn", rope_factor=8.0)) == pytest.approx(1.2079442)  # OLMo 3
    assert rope_length(stretched(rope_scaling="yarn", rope_attention_factor=1.5)) == 1.5
    assert rope_length(stretched(rope_scaling="llama3")) == 1.0
    rope = resolve("position", "rope", "einops")(stretched(rope_scaling="yarn", rope_factor=32.0))
    close(rope.rotate(torch.ones(1, 1, 1, 128), 0), torch.full((1, 1, 1, 128), 1.3465736))


def test_linear_presses_positions_together_and_dynamic_only_in_long_texts() -> None:
    plain = rope_frequencies(stretched(), 1)
    close(rope_frequencies(stretched(rope_scaling="linear", rope_factor=4.0), 1), plain / 4)
    dynamic = stretched(rope_scaling="dynamic", rope_factor=2.0, rope_original_ctx=16)
    assert torch.equal(rope_frequencies(dynamic, 16), plain)
    theta = 10_000 * (2 * 32 / 16 - 1) ** (128 / 126)
    assert rope_frequencies(dynamic, 32)[1].item() == pytest.approx(theta ** (-2 / 128), rel=1e-6)
    assert dynamic.angles_grow and not dynamic.replace(n_ctx=16).angles_grow
    assert torch.equal(rope_frequencies(dynamic.replace(d_head=2), 32), torch.ones(1))  # one pair: no other base


def test_unset_the_original_context_is_the_stretched_one_by_the_factor() -> None:
    assert stretched(rope_factor=4.0).rope_trained_ctx == 8
    assert stretched(rope_factor=4.0, rope_original_ctx=20).rope_trained_ctx == 20


@pytest.mark.parametrize("fields", [
    {"rope_scaling": "linear"}, {"rope_scaling": "llama3", "rope_low_freq_factor": 2.0, "rope_high_freq_factor": 9.0},
    {"rope_scaling": "yarn"}, {"rope_scaling": "yarn", "rope_truncate": False, "rope_beta_fast": 20.0},
    {"rope_scaling": "yarn", "rope_beta_slow": 4.0, "rotary_dim": 64}, {"rope_scaling": "dynamic", "rotary_dim": 32},
], ids=str)  # fmt: skip
@pytest.mark.parametrize(("theta", "factor", "original"), [(10_000.0, 8.0, 512), (500_000.0, 2.5, 8192)])
def test_frequencies_are_those_of_transformers(fields, theta, factor, original) -> None:
    from transformers import LlamaConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    config = stretched(rope_theta=theta, rope_factor=factor, rope_original_ctx=original, **fields)
    theirs = LlamaConfig(max_position_embeddings=original, head_dim=128, rope_parameters={
        "rope_type": config.rope_scaling, "rope_theta": theta, "factor": factor,
        "original_max_position_embeddings": original, "low_freq_factor": config.rope_low_freq_factor,
        "high_freq_factor": config.rope_high_freq_factor, "beta_fast": config.rope_beta_fast,
        "beta_slow": config.rope_beta_slow, "truncate": config.rope_truncate,
        "partial_rotary_factor": config.rope_head_dim / 128,
    })  # fmt: skip
    n_tokens = 3 * original
    frequencies, length = ROPE_INIT_FUNCTIONS[config.rope_scaling](theirs, torch.device("cpu"), seq_len=n_tokens)
    close(rope_frequencies(config, n_tokens), frequencies, rtol=1e-5, atol=0)
    assert rope_length(config) == pytest.approx(length)


@every_implementation
def test_interleaved_pairs_are_neighbours(implementation, small_config) -> None:
    rope = resolve("position", "rope", implementation)(small_config(rope_style="interleaved"))
    x = torch.zeros(1, 1, 2, 4)
    x[..., 0] = 1.0
    close(rope.rotate(x, 0)[0, 0, 1], torch.tensor([math.cos(1), math.sin(1), 0.0, 0.0]))  # halves: (cos, 0, sin, 0)


@every_implementation
def test_one_style_is_the_other_with_its_dimensions_in_another_order(implementation, small_config) -> None:
    half = resolve("position", "rope", implementation)(small_config(d_head=8))
    interleaved = resolve("position", "rope", implementation)(small_config(d_head=8, rope_style="interleaved"))
    order = torch.tensor([0, 4, 1, 5, 2, 6, 3, 7])
    x = torch.randn(2, 3, 5, 8)
    close(interleaved.rotate(x[..., order], 3), half.rotate(x, 3)[..., order])


@every_implementation
@pytest.mark.parametrize("style", ["half", "interleaved"])
def test_dimensions_that_are_not_turned_pass_bit_for_bit(style, implementation, small_config) -> None:
    config = small_config(d_head=10, rotary_dim=4, rope_style=style, rope_theta=100.0)
    rope = resolve("position", "rope", implementation)(config)
    x = torch.randn(2, 3, 5, 10)
    turned = rope.rotate(x, 2)
    assert torch.equal(turned[..., 4:], x[..., 4:])
    alone = resolve("position", "rope", implementation)(config.replace(d_head=4, rotary_dim=None))
    close(turned[..., :4], alone.rotate(x[..., :4], 2))  # frequencies by the 4 turned dimensions, not by 10


@pytest.mark.parametrize("style", ["half", "interleaved"])
@pytest.mark.parametrize("changes", [{}, {"rope_scaling": "yarn", "rope_factor": 4.0}, {"rotary_dim": 4}], ids=str)
def test_keys_turn_back_to_where_they_would_have_stood(style, changes, small_config) -> None:
    rope = resolve("position", "rope", "fused")(small_config(d_head=8, rope_style=style, **changes))
    keys = torch.randn(2, 3, 5, 8)
    close(rope.turn_back(rope.rotate(keys, 7), 4), rope.rotate(keys, 3), atol=1e-5, rtol=1e-5)


@every_implementation
def test_angles_grow_with_the_text_alone(implementation, small_config) -> None:
    config = small_config(position="rope", d_head=8, rope_scaling="dynamic", rope_factor=2.0, rope_original_ctx=8)
    rope, x = resolve("position", "rope", implementation)(config), torch.randn(1, 1, 12, 8)
    plain = resolve("position", "rope", implementation)(config.replace(rope_scaling="none"))
    close(rope.rotate(x[:, :, :8], 0), plain.rotate(x[:, :, :8], 0), atol=0, rtol=0)
    theta = 10_000 * (2 * 12 / 8 - 1) ** (8 / 6)
    longer = resolve("position", "rope", implementation)(config.replace(rope_scaling="none", rope_theta=theta))
    close(rope.rotate(x, 0), longer.rotate(x, 0), atol=1e-5, rtol=1e-5)


def test_window_layers_may_have_a_base_of_their_own(small_config) -> None:
    from components.model import build_model

    config = small_config(
        position="rope", rope_scaling="linear", rope_local_theta=50.0, attention_pattern="wf", window=4
    )
    model = build_model(config, seed=1)
    x = torch.randn(1, 6, 3, 4)
    unscaled = resolve("position", "rope", "fused")(config.replace(rope_scaling="none", rope_theta=50.0))
    close(model.position_of(0).rotate(x, 5), unscaled.rotate(x, 5))
    assert model.position_of(1) is model.positional_embedding
    assert not any("window_positions" in key for key in model.state_dict())
