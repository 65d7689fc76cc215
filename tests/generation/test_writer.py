"""What the writer says of an order is what happens: 8-bit weights that change nothing are called so."""

import pytest
import torch

from components.kv_cache import KVCache
from components.model import build_model
from config.model_config import ModelConfig
from config.presets import load_preset
from generation.console.writer import Writer
from generation.decode_plan import DecodePlan

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


@pytest.mark.parametrize("name", MODELS)
def test_8_bits_are_said_to_change_nothing_where_they_change_nothing(name):
    config, changes_nothing = MODELS[name]
    model = build_model(config, seed=1).eval()
    exact, rounded = (DecodePlan.of(model, KVCache(config), weights) for weights in ("float32", "int8"))
    assert torch.equal(exact.step(3), rounded.step(3)) == changes_nothing
    assert Writer(model, None).speeds_up_nothing("int8", compiled=False) == changes_nothing


def test_8_bits_change_nothing_where_a_model_has_no_plan():
    model = build_model(MODELS["llama small"][0], seed=1).to(torch.bfloat16).eval()
    assert Writer(model, None).speeds_up_nothing("int8", compiled=False)
