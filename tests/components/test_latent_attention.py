"""Latent attention: what is cached, what knows its position, and what the published models do."""

import pytest
import torch
from torch import Tensor

from components.kv_cache import KVCache
from components.latent_attention import LatentAttention
from components.model import build_model
from components.position import Position
from components.registry import resolve
from config.sizes import count_parameters, kv_cache_bytes
from tests.components.conftest import spread_parameters

every_implementation = pytest.mark.parametrize("implementation", ["einops", "torch", "fused"])
close = torch.testing.assert_close
LATENT = {"attention": "mla", "position": "rope", "kv_rank": 7, "d_head_rope": 6, "d_head_value": 5}


@pytest.fixture
def latent(small_config):
    """Latent attention alone, its parameters spread."""

    def build(implementation: str = "fused", **changes: object) -> LatentAttention:
        module = resolve("attention", "mla", implementation)(small_config(**{**LATENT, **changes})).eval()
        spread_parameters(module)
        return module

    return build


@pytest.mark.parametrize("changes", [{}, {"position": "alibi"}, {"kv_rank": None, "d_head_rope": None}], ids=str)
def test_a_cache_holds_the_latent_and_the_shared_key_and_nothing_else(changes: dict, small_config) -> None:
    config = small_config(**LATENT | changes)
    cache = KVCache(config, batch=3)
    held = [tensor for layer in range(2) for tensor in (cache.keys[layer], cache.values[layer])]
    assert sum(tensor.nbytes for tensor in held) == kv_cache_bytes(config, batch=3)
    assert kv_cache_bytes(config, batch=3) == 3 * 2 * 16 * (config.latent_rank + config.rope_head_dim) * 4
    assert sum(layer.untyped_storage().nbytes() for layer in cache._both) == kv_cache_bytes(config, batch=3)


@every_implementation
@pytest.mark.parametrize("n_new", [1, 5])
def test_packed_queries_meet_latents_as_unpacked_keys_meet_queries(
    n_new: int, implementation: str, small_config, latent
) -> None:
    module, plain, x = latent(implementation, kv_rank=None), latent("torch", kv_rank=None), torch.randn(2, 9, 24)
    config = small_config(**LATENT | {"kv_rank": None})
    position = resolve("position", "rope", implementation)(config)
    cache = KVCache(config, batch=2)
    module(x[:, : 9 - n_new], position, None, cache.layer(0))
    cache.advance(9 - n_new)
    got = module(x[:, 9 - n_new :], position, None, cache.layer(0))
    close(got, plain(x, position)[:, 9 - n_new :], atol=1e-4, rtol=1e-4)


def test_few_queries_are_packed_and_many_keys_unpacked(latent) -> None:
    module = latent(kv_rank=16, d_head_value=4)  # for a key: 16 * 8 products to unpack, against 24 more for a query
    assert module.packing_is_less_work(5) and not module.packing_is_less_work(6)


@every_implementation
def test_scores_are_of_distance_and_only_the_shared_key_knows_it(implementation: str, small_config, latent) -> None:
    module = latent(implementation)
    position = resolve("position", "rope", implementation)(small_config(**LATENT))
    same = torch.randn(1, 1, 24).expand(1, 6, 24)
    with torch.no_grad():
        module.latent_proj.weight[7:] = 0.0  # no shared key: identical tokens cannot be told apart
        module.latent_proj.bias[7:] = 0.0
    out = module(same, position)
    close(out, out[:, :1].expand_as(out), atol=1e-5, rtol=1e-5)
    x = torch.randn(1, 6, 24)
    blind = module(x, position)
    assert module.query_proj.weight.shape == (6 * (4 + 6), 24)
    close(module(x, Position(small_config())), blind, atol=1e-5, rtol=1e-5)  # unturned: no difference


@every_implementation
def test_scores_are_divided_by_the_root_of_the_whole_query(implementation: str, small_config) -> None:
    config = small_config(**LATENT)
    assert config.score_scale == pytest.approx((4 + 6) ** -0.5)
    assert resolve("attention", "mla", implementation)(config).scale == config.score_scale
    assert small_config().score_scale == pytest.approx(4**-0.5)


@every_implementation
def test_norms_of_latents_are_rmsnorms_of_their_own_epsilon(implementation: str, latent) -> None:
    module = latent(implementation, norm="layernorm", norm_eps=0.5, q_rank=8)
    for norm, width in ((module.latent_norm, 7), (module.query_norm, 8)):
        assert type(norm).__name__.startswith("RMSNorm") and norm.eps == 1e-6
        assert norm.weight.shape == (width,) and norm.bias is None
    x = 1e-3 * torch.ones(1, 1, 7)
    close(module.latent_norm(x), module.latent_norm.weight.expand(1, 1, 7), atol=1e-5, rtol=1)


@pytest.mark.parametrize("changes", [
    {}, {"q_rank": 8, "qkv_bias": False, "attention_sinks": True}, {"position": "none", "attention_out_bias": False},
    {"q_rank": 8, "norm": "rmsnorm", "norm_gain": False},
], ids=str)  # fmt: skip
def test_parameters_are_those_that_were_computed(changes: dict, small_config) -> None:
    config = small_config(**LATENT | changes)
    model = build_model(config, seed=1)
    assert sum(parameter.numel() for parameter in model.parameters()) == count_parameters(config)


def test_nothing_leaks_from_the_future(small_model, tokens: Tensor) -> None:
    model = small_model(**LATENT)
    changed = tokens.clone()
    changed[:, 6:] = (changed[:, 6:] + 1) % 31
    close(model(tokens)[:, :6], model(changed)[:, :6], atol=0, rtol=0)
    assert (model(tokens)[:, 6] - model(changed)[:, 6]).abs().max() > 1e-3
