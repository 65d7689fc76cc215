"""What is said of an order is what happens: 8-bit weights and a compiler that change nothing are called so."""

import pytest
import torch

from components.kv_cache import KVCache
from components.model import build_model
from config.model_config import ModelConfig
from config.presets import load_preset
from generation import compiled
from generation.console.idle_speed import NO_LARGE_MATRIX, idle_speed
from generation.console.order import Order
from generation.console.settings import WritingSettings
from generation.decode_plan import DecodePlan
from tests.generation.test_compiled import needs_compiler

SIZES = {"d_vocab": 80, "n_layers": 1, "n_heads": 2, "n_ctx": 8}
MODELS = {
    # Gate and up of the small sizes are below the bound alone, and above it together.
    "llama small": (load_preset("llama", "small").replace(d_vocab=80, n_layers=1), False),
    "olmo small": (load_preset("olmo", "small").replace(d_vocab=80, n_layers=1), False),
    "gpt small": (load_preset("gpt", "small").replace(d_vocab=80, n_layers=1), True),
    "all small": (ModelConfig(**SIZES, d_model=32, d_mlp=64), True),
    "rows that the kernel cannot read": (ModelConfig(**SIZES, d_model=200, d_mlp=1400), True),
    "pair that the kernel cannot read": (ModelConfig(**SIZES, d_model=200, d_mlp=1000, mlp="swiglu"), True),
    "large unembedding": (ModelConfig(**SIZES | {"d_vocab": 9000}, d_model=32, d_mlp=64), False),
}


def idle(model, **settings):
    return idle_speed(model, Order(WritingSettings(**settings)))


@pytest.mark.parametrize("name", MODELS)
def test_8_bits_are_said_to_change_nothing_where_they_change_nothing(name):
    config, changes_nothing = MODELS[name]
    model = build_model(config, seed=1).eval()
    exact, rounded = (DecodePlan.of(model, KVCache(config), weights) for weights in ("float32", "int8"))
    assert torch.equal(exact.step(3), rounded.step(3)) == changes_nothing
    assert bool(idle(model, quantize="int8")) == changes_nothing


def test_8_bits_change_nothing_where_a_model_has_no_plan():
    model = build_model(MODELS["llama small"][0], seed=1).to(torch.bfloat16).eval()
    assert idle(model, quantize="int8") == {"quantize int8": NO_LARGE_MATRIX}


@needs_compiler
@pytest.mark.parametrize(
    ("name", "quantize", "expected"),
    [
        ("large unembedding", "none", {}),
        ("large unembedding", "float16", {"compile": "--quantize float16 has all large matrices"}),
        ("gpt small", "none", {"compile": NO_LARGE_MATRIX}),
        ("gpt small", "int8", {"quantize int8": NO_LARGE_MATRIX, "compile": NO_LARGE_MATRIX}),
        ("rows that the kernel cannot read", "int8", {"quantize int8": NO_LARGE_MATRIX}),  # compiled instead
    ],
)
def test_the_compiler_is_said_to_change_nothing_where_no_matrix_is_left_for_it(name, quantize, expected):
    model = build_model(MODELS[name][0], seed=1).eval()
    assert idle(model, quantize=quantize, compile=True) == expected


def test_without_a_compiler_its_reason_is_told(monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler")
    compiled.kernel.cache_clear()
    model = build_model(MODELS["large unembedding"][0], seed=1).eval()
    assert "there is none" in idle(model, compile=True)["compile"]
