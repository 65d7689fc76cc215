"""The proof is green for what is right, and red, at the check that it concerns, for every planted bug."""

import itertools

import pytest
import torch
import torch.nn.functional as functional

from components import attention, attention_mask, layer_masks, layernorm, mlp, model, rmsnorm, rope
from components.attention_mask import AttentionMask
from config import sizes
from config.model_config import ModelConfig
from config.presets import PRESET_NAMES, load_preset
from config.sizes import count_parameters
from interpret import prove as proving
from interpret.prove import prove
from interpret.reduced import MOST_PARAMETERS, reduced
from tests.components.conftest import SMALL
from tests.components.test_contract import CONFIGS

NAMES = ["parameters", "agreement", "causality", "cache", "gradients"]


def small(**changes) -> ModelConfig:
    return ModelConfig(**{**SMALL, "n_layers": 1, "n_heads": 2, "d_head": 4, **changes})


def red(config: ModelConfig) -> set[str]:
    """The checks that fail."""
    return {name for name, check in zip(NAMES, prove(config).checks, strict=True) if not check.passed}


# Each takes half a second: these have every branch of the checks, the others are slow tests.
PER_COMMIT = {"gpt2", "llama-gqa", "deepseek", "mixture", "sinks-windows-clamped", "full-norm-yarn", "two-norms"}
EVERY_CONFIG = [name if name in PER_COMMIT else pytest.param(name, marks=pytest.mark.slow) for name in CONFIGS]


@pytest.mark.parametrize("change", EVERY_CONFIG)
def test_what_is_right_is_green(change):
    proof = prove(ModelConfig(**{**SMALL, **CONFIGS[change]}))
    assert proof.passed, proof.checks
    assert proof.smaller == {}
    assert "e-" in proof.checks[1].sentence and "built" in proof.checks[0].sentence


@pytest.mark.parametrize("size", ["n_ctx", "d_vocab", "d_mlp"])
def test_the_smallest_sizes_are_green(size):
    config = small(**{size: 1})
    assert red(config) == set()


# --- planted bugs ---------------------------------------------------------------------------------------------------


def test_a_mask_that_is_off_by_one_leaks_the_future(monkeypatch):
    def off_by_one(n_query, n_key, device, window=None):
        return torch.ones(n_query, n_key, dtype=torch.bool, device=device).tril(n_key - n_query + 1)

    for place in (attention_mask, layer_masks):
        monkeypatch.setattr(place, "causal", off_by_one)
    assert "causality" in red(small(position="alibi"))


def test_a_mask_in_one_implementation_alone(monkeypatch):
    monkeypatch.setattr(
        attention, "causal_mask", lambda n_query, n_key, device: AttentionMask(torch.zeros(1, 1, n_query, n_key))
    )
    assert {"agreement", "causality"} <= red(small())


def test_rotary_positions_that_forget_the_offset_of_the_cache(monkeypatch):
    for name in ("Einops", "Torch", "Fused"):
        variant = getattr(rope, f"RotaryPositions{name}")
        rotate = variant.rotate
        monkeypatch.setattr(variant, "rotate", lambda self, x, offset, rotate=rotate: rotate(self, x, 0))
    assert red(small(position="rope")) == {"cache"}


def test_learned_positions_that_forget_the_offset_of_the_cache(monkeypatch):
    monkeypatch.setattr(
        model, "token_positions", lambda n_query, offset, not_padding, device: torch.arange(n_query)[None]
    )
    assert red(small()) == {"cache"}


def test_the_flag_that_aligns_the_mask_to_the_wrong_corner(monkeypatch):
    attend = functional.scaled_dot_product_attention

    def without_mask(*tensors, attn_mask=None, **options):
        return attend(*tensors, **options)

    monkeypatch.setattr(functional, "scaled_dot_product_attention", without_mask)
    assert red(small()) == {"cache"}  # several tokens at once behind the cache: one at a time needs no mask


def test_a_wrong_gradient_with_the_right_values(monkeypatch):
    backward = rmsnorm.ScaleToUnit.backward

    def forgets_the_mean(ctx, dy):
        dx, dweight, nothing = backward(ctx, dy)
        return dx * 1.01, dweight, nothing

    monkeypatch.setattr(rmsnorm.ScaleToUnit, "backward", staticmethod(forgets_the_mean))
    assert red(small(norm="rmsnorm")) == {"agreement", "gradients"}


def test_a_gradient_that_is_wrong_everywhere_alike(monkeypatch):
    """All implementations agree with each other, and only the finite difference knows."""
    for name in ("Einops", "Torch", "Fused"):
        variant = getattr(mlp, f"MLP{name}")
        forward = variant.forward
        monkeypatch.setattr(variant, "forward", lambda self, x, forward=forward: forward(self, x.detach()))
    assert red(small()) == {"gradients"}


def test_a_parameter_that_nothing_reads(monkeypatch):
    """A forgotten gain: the gradient is zero and so is the slope; agreement sees it in one implementation."""

    def forward(self, x):
        return torch.nn.functional.layer_norm(x, self.weight.shape, None, self.bias, self.eps)

    monkeypatch.setattr(layernorm.LayerNormTorch, "forward", forward)
    assert red(small()) == {"agreement"}


def test_size_arithmetic_that_forgets_a_bias(monkeypatch):
    monkeypatch.setattr(sizes, "parameters_per_norm", lambda config, width=None: width or config.d_model)
    assert red(small()) == {"parameters"}


def test_values_that_are_no_numbers_are_red(monkeypatch):
    monkeypatch.setattr(mlp, "formula", lambda config: lambda x: x / 0.0 * 0.0)
    assert {"agreement", "causality", "cache", "gradients"} <= red(small())


# --- large configurations -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", PRESET_NAMES)
def test_tiny_is_proved_as_it_is_and_full_by_a_smaller_one(preset):
    assert reduced(load_preset(preset, "tiny").replace(d_vocab=65))[1] == {}
    full = load_preset(preset, "full")
    config, smaller = reduced(full)
    assert count_parameters(config) < MOST_PARAMETERS
    assert smaller["d_model"] == (768, 64) and smaller["n_heads"] == (12, 6)
    same = {"position", "norm", "mlp", "norm_placement", "tie_embeddings", "qkv_bias", "mlp_bias"}
    assert all(getattr(config, name) == getattr(full, name) for name in same)


@pytest.mark.parametrize("n_heads, n_kv_heads", list(itertools.product([8, 12, 24], [None, 1, 4])))
def test_groups_of_heads_stay_what_they_are(n_heads, n_kv_heads):
    large = load_preset("llama", "full").replace(n_heads=n_heads, d_head=64, n_kv_heads=n_kv_heads)
    config, _ = reduced(large)
    kinds = [(c.kv_heads == c.n_heads, c.kv_heads == 1) for c in (large, config)]
    assert kinds[0] == kinds[1]
    assert (config.n_heads & (config.n_heads - 1) == 0) == (n_heads & (n_heads - 1) == 0)


def test_of_very_many_experts_the_first_layers_are_counted(monkeypatch):
    monkeypatch.setattr(proving, "MOST_BUILT", 8)
    check = prove(small(n_layers=3, n_experts=4, d_expert=8)).checks[0]
    assert check.passed and check.sentence.endswith("(of the first 2 of 3 layers)")


def test_parameters_are_counted_at_full_size():
    check = prove(load_preset("gpt2", "full").replace(n_layers=2)).checks[0]
    assert check.passed and check.sentence.startswith("53,")
