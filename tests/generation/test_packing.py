"""A packed model computes what the model does, from the same numbers, and leaves it as it was."""

import pytest
import torch
from torch import nn

from components.kv_cache import KVCache
from components.model import build_model
from config.model_config import ModelConfig
from generation.packing import PackedLinear, packed
from generation.samplers import build_samplers
from generation.speculative import Speculation

SIZES = {"d_vocab": 19, "d_model": 32, "n_layers": 2, "n_heads": 4, "d_mlp": 64, "n_ctx": 24, "init_std": 0.3}
KINDS = {
    "gpt": {},
    "llama": {"norm": "rmsnorm", "mlp": "swiglu", "position": "rope", "n_kv_heads": 2},
    "bare": {"qkv_bias": False, "attention_out_bias": False, "mlp_bias": False, "tie_embeddings": False},
}

needs_kernel = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="there is no oneDNN here")


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.inference_mode():
        yield


@needs_kernel
@pytest.mark.parametrize("kind", KINDS)
def test_a_packed_model_equals_the_model(kind):
    model = build_model(ModelConfig(**SIZES | KINDS[kind]), seed=1).eval()
    for parameter in model.parameters():
        if parameter.ndim == 1:  # biases begin as 0
            parameter.add_(torch.rand_like(parameter))
    modules = list(model.modules())
    few = packed(model, 4)
    assert sum(isinstance(module, PackedLinear) for module in few.modules()) == sum(
        isinstance(module, nn.Linear) for module in modules
    )
    caches = KVCache(model.config), KVCache(model.config)
    for count in (1, 4, 2, 9):  # also more rows, and fewer, than it was packed for
        tokens = torch.randint(19, (1, count))
        expected, found = (part(tokens, cache=cache) for part, cache in zip((model, few), caches, strict=True))
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=2e-5)
    assert list(model.modules()) == modules  # as it was
    assert few.token_embedding.weight is model.token_embedding.weight  # and shared, but for the matrices


@needs_kernel
def test_a_draft_is_checked_by_the_packed_model_and_a_prompt_is_not(monkeypatch):
    rows = []
    forward = PackedLinear.forward
    monkeypatch.setattr(PackedLinear, "forward", lambda self, x: rows.append(x.shape[1]) or forward(self, x))
    model, draft = (build_model(ModelConfig(**SIZES), seed=seed).eval() for seed in (1, 2))
    list(Speculation(model, draft, [1] * 10, max_new_tokens=9, samplers=build_samplers(), seed=1, n_draft=3))
    assert rows and max(rows) == 4


def test_what_is_not_all_plain_stays_as_it_is():
    model = build_model(ModelConfig(**SIZES), seed=1).eval()
    assert packed(model.to(torch.bfloat16), 4) is model
