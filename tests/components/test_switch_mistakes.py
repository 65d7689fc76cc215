"""The usual mistakes in what a family of models does otherwise, each with the value or property that catches it.

Positions and windows have files of their own: test_rope_scaling.py, test_window_layers.py.
"""

import math

import pytest
import torch
from torch import Tensor

from components.alibi import alibi_slopes
from components.kv_cache import KVCache
from components.model import build_model
from components.norm import Norm
from components.position import Position
from components.query_key_norm import QueryKeyNorm
from components.registry import resolve
from config.catalog import IMPLEMENTATIONS
from tests.components.conftest import spread_parameters

every_implementation = pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
close = torch.testing.assert_close


def eye_mlp(name: str, implementation: str, small_config, **changes):
    """An MLP of width 24 whose matrices are the identity."""
    mlp = resolve("mlp", name, implementation)(small_config(mlp=name, d_mlp=24, mlp_bias=False, **changes))
    with torch.no_grad():
        for parameter in mlp.parameters():
            parameter.copy_(torch.eye(24))
    return mlp


@every_implementation
@pytest.mark.parametrize(("name", "at_three", "at_minus_one"), [
    ("relu", 3.0, 0.0), ("relu2", 9.0, 0.0), ("silu", 3 / (1 + math.exp(-3)), -1 / (1 + math.e)),
    ("gelu", 2.995950, -0.158655), ("reglu", 9.0, 0.0), ("swiglu", 9 / (1 + math.exp(-3)), 1 / (1 + math.e)),
    ("geglu", 3 * 2.995950, 0.158655),
])  # fmt: skip
def test_activations_by_name(name, at_three, at_minus_one, implementation, small_config) -> None:
    mlp = eye_mlp(name, implementation, small_config, gelu_form="exact")
    close(mlp(torch.full((1, 1, 24), 3.0)), torch.full((1, 1, 24), at_three), atol=1e-5, rtol=0)
    close(mlp(torch.full((1, 1, 24), -1.0)), torch.full((1, 1, 24), at_minus_one), atol=1e-5, rtol=0)


@every_implementation
@pytest.mark.parametrize("name", ["geglu", "reglu", "swiglu"])
def test_the_gate_closes_and_up_does_not(name, implementation, small_config) -> None:
    mlp = eye_mlp(name, implementation, small_config)
    with torch.no_grad():
        mlp.gate_proj.weight.mul_(-100.0)
        assert mlp(torch.ones(1, 1, 24)).abs().max() < 1e-6
        mlp.gate_proj.weight.copy_(torch.eye(24))
        mlp.up_proj.weight.mul_(-100.0)
        assert mlp(torch.ones(1, 1, 24)).abs().min() > 50


@every_implementation
@pytest.mark.parametrize("norm", ["layernorm", "rmsnorm"])
def test_a_unit_offset_is_added_to_the_gain(norm, implementation, small_config) -> None:
    config = small_config(norm=norm, norm_unit_offset=True, norm_bias=False)
    module = resolve("norm", norm, implementation)(config)
    x = torch.randn(2, 5, 24)
    plain = resolve("norm", norm, implementation)(config.replace(norm_unit_offset=False))(x)
    assert not module.weight.any()
    close(module(x), plain)  # w = 0: the gain is 1, not 0
    with torch.no_grad():
        module.weight.fill_(0.5)
    close(module(x), 1.5 * plain)
    assert all((p == 0).all() for name, p in build_model(config, seed=1).named_parameters() if "norm" in name)


@every_implementation
@pytest.mark.parametrize("norm", ["layernorm", "rmsnorm"])
def test_a_norm_without_gain_and_bias_learns_nothing(norm, implementation, small_config) -> None:
    module = resolve("norm", norm, implementation)(small_config(norm=norm, norm_gain=False, norm_bias=False))
    assert list(module.parameters()) == []
    close(module(torch.tensor([[[3.0, -3.0] * 12]])), torch.tensor([[[1.0, -1.0] * 12]]), atol=1e-5, rtol=0)


def test_epsilon_reaches_every_norm(small_config) -> None:
    config = small_config(norm_eps=3e-3, norm_placement="sandwich", qk_norm="full", embedding_norm=True)
    norms = [module for module in build_model(config, seed=1).modules() if isinstance(module, Norm)]
    assert len(norms) == 2 * (4 + 2) + 2
    assert {module.eps for module in norms} == {3e-3}


PLACEMENTS = ["pre", "post", "output", "sandwich"]


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_a_norm_behind_a_part_bounds_what_it_adds(placement, small_model) -> None:
    model = small_model(norm_placement=placement, norm_eps=1e-12, attention_out_bias=False, mlp_bias=False)
    block, x = model.blocks[0], torch.randn(2, 5, 24)
    before = block(x, model.positional_embedding)
    with torch.no_grad():
        block.attention.out_proj.weight.mul_(10)
        block.mlp.down_proj.weight.mul_(10)
    moved = (block(x, model.positional_embedding) - before).abs().max().item()
    assert (moved < 1e-4) == (placement in ("output", "sandwich"))


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_a_norm_before_a_part_hides_the_size_of_the_stream(placement, small_model) -> None:
    model = small_model(norm_placement=placement, norm_eps=1e-12)
    block, x, read = model.blocks[0], torch.randn(2, 5, 24), []
    block.attention.register_forward_pre_hook(lambda module, inputs: read.append(inputs[0]))
    block(x, model.positional_embedding)
    block(10 * x, model.positional_embedding)
    same = bool((read[0] - read[1]).abs().max() < 1e-4)
    assert same == (placement in ("pre", "sandwich"))
    assert same or torch.equal(read[1], 10 * x)


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_all_but_post_norm_end_with_a_norm(placement, small_model, tokens: Tensor) -> None:
    model = small_model(norm_placement=placement)
    assert any(key.startswith("final_norm") for key in model.state_dict()) == (placement != "post")


@every_implementation
@pytest.mark.parametrize("parallel", ["two_norms", "one_norm"])
def test_parallel_parts_read_the_same_stream(parallel, implementation, small_model) -> None:
    model = small_model(implementation, parallel_residual=parallel, residual_scale=0.5)
    block, x = model.blocks[0], torch.randn(2, 5, 24)
    assert any("mlp_norm" in key for key in block.state_dict()) == (parallel == "two_norms")
    normed = block.attention_norm(x)
    read_by_mlp = block.mlp_norm(x) if parallel == "two_norms" else normed
    expected = x + 0.5 * block.attention(normed, model.positional_embedding) + 0.5 * block.mlp(read_by_mlp)
    close(block(x, model.positional_embedding), expected, atol=1e-5, rtol=1e-5)


@every_implementation
@pytest.mark.parametrize("kind", ["head", "full", "head_separate"])
@pytest.mark.parametrize("norm", ["layernorm", "rmsnorm"])
def test_queries_have_a_known_length_before_the_gain(kind, norm, implementation, small_config) -> None:
    module = QueryKeyNorm(small_config(qk_norm=kind, norm=norm, norm_eps=1e-12), 6, implementation)
    y = module(torch.randn(2, 6, 5, 4) * torch.arange(1.0, 7.0)[:, None, None])  # heads of different size
    squares = y.square().sum(dim=-1)  # [batch head pos]
    assert torch.allclose(squares.sum(dim=1), torch.tensor(24.0), rtol=1e-4)
    by_head = torch.allclose(squares, torch.tensor(4.0), rtol=1e-4)
    assert by_head == (kind != "full")


@every_implementation
def test_a_full_norm_has_a_gain_for_each_dimension_of_each_head(implementation, small_config) -> None:
    module = QueryKeyNorm(small_config(qk_norm="full", norm_bias=False), 6, implementation)
    x = torch.randn(2, 6, 5, 4)
    plain = module(x)
    with torch.no_grad():
        module.norm.weight.copy_(torch.arange(24.0))
    close(module(x), plain * torch.arange(24.0).view(6, 1, 4))
    close(plain[0, :, 0].flatten(), torch.nn.functional.layer_norm(x[0, :, 0].flatten(), (24,)))


@every_implementation
def test_each_head_has_its_own_gain_where_they_are_separate(implementation, small_config) -> None:
    config = small_config(qk_norm="head_separate", norm_bias=False)
    module, shared = (
        QueryKeyNorm(config, 6, implementation),
        QueryKeyNorm(config.replace(qk_norm="head"), 6, implementation),
    )
    x = torch.randn(2, 6, 5, 4)
    with torch.no_grad():
        module.weight.copy_(torch.arange(24.0))
    close(module(x), shared(x) * torch.arange(24.0).view(6, 1, 4))


@every_implementation
def test_norm_and_clip_come_before_the_rotation(implementation, small_model) -> None:
    model = small_model(implementation, qk_norm="head", clip_qkv=0.5, position="rope", n_kv_heads=2)
    attention, rope = model.blocks[0].attention, model.positional_embedding
    query, key, value = torch.randn(2, 6, 5, 4), torch.randn(2, 2, 5, 4), torch.randn(2, 2, 5, 4)
    got = attention.prepared(query, key, value, rope, None)
    close(got[0], rope.rotate(attention.query_norm(query).clamp(-0.5, 0.5), 0))
    close(got[1], rope.rotate(attention.key_norm(key).clamp(-0.5, 0.5), 0))
    close(got[2], value.clamp(-0.5, 0.5))


def probe(implementation: str, small_config, **changes) -> float:
    """The weight of token 0 for token 1, whose score is 8 before any scale, in attention where its own score is 0."""
    config = small_config(n_heads=1, d_head=16, qkv_bias=False, attention_out_bias=False, **changes)
    attention = resolve("attention", "multi_head", implementation)(config)
    with torch.no_grad():
        for parameter in (attention.qkv_proj.weight, attention.out_proj.weight):
            parameter.zero_()
        for row, column in ((0, 0), (16, 1), (32, 2)):  # query, key and value dimension 0 read x[0], x[1], x[2]
            attention.qkv_proj.weight[row, column] = 1.0
        attention.out_proj.weight[0, 0] = 1.0
    x = torch.zeros(1, 2, 24)
    x[0, 1, 0], x[0, 0, 1], x[0, 0, 2] = 2.0, 4.0, 1.0
    return attention(x, Position(config))[0, 1, 0].item()


@every_implementation
def test_attention_scale_and_cap(implementation, small_config) -> None:
    def weight(score: float) -> float:
        return pytest.approx(1 / (1 + math.exp(-score)), abs=1e-6)

    assert probe(implementation, small_config, attention_scale=0.1) == weight(0.8)
    assert probe(implementation, small_config, attention_softcap=1.5) == weight(1.5 * math.tanh(2.0 / 1.5))
    # the cap is on the scaled score: scaled after it, this would be 0.1 · 1.5 · tanh(8 / 1.5)
    both = probe(implementation, small_config, attention_softcap=1.5, attention_scale=0.1)
    assert both == weight(1.5 * math.tanh(0.8 / 1.5))


@every_implementation
def test_the_cap_does_not_lift_the_mask(implementation, small_model, tokens: Tensor) -> None:
    model = small_model(implementation, attention_softcap=0.1)
    changed = tokens.clone()
    changed[:, 6:] = (changed[:, 6:] + 1) % 31
    close(model(tokens)[:, :6], model(changed)[:, :6], atol=0, rtol=0)


@every_implementation
def test_scores_of_the_words_are_shifted_scaled_and_capped_in_this_order(implementation, small_config) -> None:
    config = small_config(unembedding_bias=True, logit_scale=0.25, logit_softcap=2.0, tie_embeddings=False)
    head = resolve("unembedding", "unembedding", implementation)(config)
    spread_parameters(head)
    x = torch.randn(1, 3, 24)
    z = x @ head.weight.T + head.bias
    close(head(x, torch.zeros(31, 24)), 2.0 * torch.tanh(0.25 * z / 2.0))
    assert head(100 * x, torch.zeros(31, 24)).abs().max() <= 2.0


@every_implementation
def test_embedding_scale_is_rounded_like_the_weights(implementation, small_config) -> None:
    embedding = resolve("embedding", "token", implementation)(small_config(embedding_scale=math.sqrt(3072)))
    with torch.no_grad():
        embedding.weight.fill_(1.0)
    assert embedding(torch.tensor([[3]])).flatten()[0].item() == pytest.approx(math.sqrt(3072), rel=1e-6)
    with torch.no_grad():
        embedding.weight.fill_(11.0)
    # As in Gemma the scale is 55.5 in bfloat16, so 610.5, which is 612 there; 11 · 55.4256 = 609.7 would be 608.
    assert embedding.to(torch.bfloat16)(torch.tensor([[3]])).flatten()[0].item() == 612.0


@every_implementation
def test_embedding_norm_stands_behind_the_positions(implementation, small_model, tokens: Tensor) -> None:
    model = small_model(implementation, embedding_norm=True)
    read = []
    model.blocks[0].register_forward_pre_hook(lambda module, inputs: read.append(inputs[0]))
    model(tokens)
    vectors = model.token_embedding(tokens) + model.positional_embedding.weight[: tokens.shape[1]]
    close(read[0], model.embedding_norm(vectors))


def test_alibi_slopes_in_one_geometric_row(small_config) -> None:
    assert alibi_slopes(6, "geometric") == pytest.approx(
        [0.39685026, 0.15749013, 0.0625, 0.02480314, 0.00984313, 0.00390625], rel=1e-5
    )
    assert alibi_slopes(8, "geometric") == alibi_slopes(8)
    scheme = resolve("position", "alibi", "fused")(small_config(alibi_slopes="geometric"))
    assert scheme.slopes[0].item() == pytest.approx(0.3968503)


@every_implementation
@pytest.mark.parametrize("position", ["rope", "alibi"])
def test_layers_without_positions_are_blind_to_order(position, implementation, small_model, tokens: Tensor) -> None:
    blind = small_model(implementation, position=position, position_pattern="n", n_layers=1)
    ordered = small_model(implementation, position=position, position_pattern="p", n_layers=1)
    swapped = tokens[:, [1, 0, *range(2, 11)]]
    close(blind(tokens)[:, -1], blind(swapped)[:, -1], atol=1e-4, rtol=1e-4)
    assert (ordered(tokens)[:, -1] - ordered(swapped)[:, -1]).abs().max() > 1e-3
    mixed = small_model(implementation, position=position, position_pattern="pn")
    assert [mixed.position_of(layer) is mixed.positional_embedding for layer in (0, 1)] == [True, False]


def test_a_cache_of_growing_angles_is_refused(small_model, tokens: Tensor) -> None:
    model = small_model(position="rope", rope_scaling="dynamic", rope_original_ctx=8)
    cache = KVCache(model.config, batch=3)
    model(tokens[:, :8], cache=cache)
    with pytest.raises(ValueError, match="beyond 8 tokens, so that none can be cached; 9 tokens"):
        model(tokens[:, 8:9], cache=cache)
