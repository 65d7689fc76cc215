"""The usual mistakes in transformers, each with the value or property that catches it."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from components.alibi import alibi_slopes
from components.attention_mask import attention_mask, causal
from components.kernel_rules import written_out_attention_is_faster
from components.kv_cache import KVCache
from components.model import build_model
from components.position import Position
from components.registry import resolve
from config.sizes import count_parameters
from tests.components.conftest import spread_parameters

every_implementation = pytest.mark.parametrize("implementation", ["einops", "torch", "fused"])
close = torch.testing.assert_close


@every_implementation
def test_layernorm_eps_inside_root_and_biased_variance(implementation: str, small_config) -> None:
    norm = resolve("norm", "layernorm", implementation)(small_config(d_model=66, norm_eps=1e-5))
    spread_parameters(norm)
    x = 3.0 + 0.01 * torch.randn(2, 5, 66)
    close(norm(x), F.layer_norm(x, (66,), norm.weight, norm.bias, 1e-5), atol=1e-3, rtol=1e-3)
    close(norm(torch.full((1, 1, 66), 7.0))[0, 0], norm.bias, atol=1e-6, rtol=0)  # a constant vector: β, no NaN
    assert resolve("norm", "layernorm", implementation)(small_config(norm_bias=False)).bias is None


@every_implementation
@pytest.mark.parametrize("name", ["layernorm", "rmsnorm"])
def test_norm_eps_comes_from_the_config(name: str, implementation: str, small_config) -> None:
    x = torch.tensor([0.1, -0.1] * 12).view(1, 1, 24)  # mean 0, variance and mean square 0.01
    norm = resolve("norm", name, implementation)(small_config(norm_eps=0.03))
    close(norm(x), x / math.sqrt(0.01 + 0.03), atol=1e-6, rtol=0)


@every_implementation
def test_rmsnorm_does_not_center(implementation: str, small_config) -> None:
    norm = resolve("norm", "rmsnorm", implementation)(small_config())
    y = norm(torch.full((1, 1, 24), 5.0))
    close(y, torch.ones(1, 1, 24), atol=1e-5, rtol=0)
    assert not any(name.endswith("bias") for name in norm.state_dict())


@every_implementation
@pytest.mark.parametrize(("form", "value"), [("exact", 0.841344746), ("tanh", 0.841191991)])
def test_gelu_of_one(form: str, value: float, implementation: str, small_config) -> None:
    mlp = resolve("mlp", "gelu", implementation)(small_config(gelu_form=form, d_mlp=24, mlp_bias=False))
    with torch.no_grad():
        mlp.up_proj.weight.copy_(torch.eye(24))
        mlp.down_proj.weight.copy_(torch.eye(24))
    close(mlp(torch.ones(1, 1, 24)), torch.full((1, 1, 24), value), atol=1e-6, rtol=0)


@every_implementation
def test_swiglu_gate_is_the_one_with_silu(implementation: str, small_config) -> None:
    mlp = resolve("mlp", "swiglu", implementation)(small_config(mlp="swiglu", d_mlp=24, mlp_bias=False))
    with torch.no_grad():
        mlp.gate_proj.weight.copy_(torch.eye(24))
        mlp.up_proj.weight.copy_(2.0 * torch.eye(24))
        mlp.down_proj.weight.copy_(torch.eye(24))
    silu_of_one = 0.731058579
    close(mlp(torch.ones(1, 1, 24)), torch.full((1, 1, 24), 2 * silu_of_one), atol=1e-6, rtol=0)


@every_implementation
def test_swiglu_clamp_is_on_the_gate_from_above_and_on_up_from_both_sides(implementation: str, small_config) -> None:
    config = small_config(d_mlp=24, mlp_bias=False, mlp="swiglu", swiglu_clamp=7.0)
    mlp = resolve("mlp", "swiglu", implementation)(config)
    with torch.no_grad():
        mlp.down_proj.weight.copy_(torch.eye(24))
    cases = {(1.0, 2.0): 3 / (1 + math.exp(-1.702)), (9.0, 9.0): 7 * 8 / (1 + math.exp(-1.702 * 7)),
             (-9.0, -9.0): -9 * -6 / (1 + math.exp(1.702 * 9))}  # fmt: skip
    for (gate, up), expected in cases.items():
        with torch.no_grad():
            mlp.gate_proj.weight.copy_(gate * torch.eye(24))
            mlp.up_proj.weight.copy_(up * torch.eye(24))
        close(mlp(torch.ones(1, 1, 24)), torch.full((1, 1, 24), expected), atol=1e-6, rtol=1e-6)


@every_implementation
def test_rope_pairs_halves(implementation: str, small_config) -> None:
    rope = resolve("position", "rope", implementation)(small_config())
    x = torch.zeros(1, 1, 2, 4)
    x[..., 0] = 1.0
    turned = rope.rotate(x, 0)[0, 0]
    close(turned[0], torch.tensor([1.0, 0.0, 0.0, 0.0]))  # position 0: the identity
    close(turned[1], torch.tensor([math.cos(1), 0.0, math.sin(1), 0.0]))  # neighbours would give (cos, sin, 0, 0)
    close(rope.rotate(x, 7)[0, 0, 0], torch.tensor([math.cos(7), 0.0, math.sin(7), 0.0]))  # behind 7 cached tokens


@every_implementation
def test_rope_frequencies_distance_and_length(implementation: str, small_config) -> None:
    rope = resolve("position", "rope", implementation)(small_config(d_head=8, rope_theta=500.0, n_ctx=128))
    second_pair = torch.zeros(1, 1, 1, 8)
    second_pair[..., 1] = 1.0
    angle = 5 * 500.0 ** (-2 / 8)
    close(rope.rotate(second_pair, 5)[0, 0, 0, 1::4], torch.tensor([math.cos(angle), math.sin(angle)]))
    query, key = torch.randn(2, 1, 1, 1, 8)
    near = (rope.rotate(query, 3) * rope.rotate(key, 1)).sum()
    far = (rope.rotate(query, 103) * rope.rotate(key, 101)).sum()
    close(near, far, atol=1e-4, rtol=1e-4)
    close(rope.rotate(query, 103).norm(), query.norm())


def test_rope_angles_stay_float32_under_autocast(small_config) -> None:
    rope = resolve("position", "rope", "fused")(small_config(n_ctx=2048))
    assert rope.cos.dtype == torch.float32
    assert rope.state_dict() == {}
    assert rope.cos[2047, 0].item() == pytest.approx(math.cos(2047), abs=1e-5)  # bfloat16 would say cos(2048)


@every_implementation
def test_sinusoidal_literal_values(implementation: str, small_config) -> None:
    positions = resolve("position", "sinusoidal", implementation)(small_config(d_model=24))
    with torch.autocast("cpu", torch.bfloat16):
        row = positions.embed(torch.zeros(1, 1, 24), torch.tensor([[13]]))[0, 0]
    slow = 13 / 10_000 ** (2 / 24)
    close(row[:4], torch.tensor([math.sin(13), math.cos(13), math.sin(slow), math.cos(slow)]), atol=1e-5, rtol=0)


def test_alibi_slopes() -> None:
    assert alibi_slopes(8) == [2.0**-h for h in range(1, 9)]
    assert alibi_slopes(6) == [0.25, 0.0625, 0.015625, 0.00390625, 0.5, 0.125]
    between = [0.70710678, 0.35355339, 0.17677670, 0.08838835]
    assert alibi_slopes(12) == pytest.approx([2.0**-h for h in range(1, 9)] + between)
    assert alibi_slopes(1) == [2.0**-8]


@every_implementation
@pytest.mark.parametrize("d_head", [4, 8])
def test_alibi_lowers_the_past_and_does_not_unmask_the_future(implementation: str, d_head: int, small_config) -> None:
    config = small_config(d_head=d_head, n_layers=1, attention_out_bias=False)
    attention = resolve("attention", "multi_head", implementation)(config)
    alibi = resolve("position", "alibi", implementation)(config)
    with torch.no_grad():  # queries and keys 0; the value of token j is j + 1 in every dimension
        attention.qkv_proj.weight.zero_()
        attention.qkv_proj.bias.zero_()
        attention.qkv_proj.weight[-config.d_attention :, 0] = 1.0
        attention.out_proj.weight.zero_()
        for head in range(6):
            attention.out_proj.weight[head, head * d_head] = 1.0
    x = torch.zeros(1, 5, 24)
    x[0, :, 0] = torch.arange(1.0, 6.0)
    got = attention(x, alibi, attention_mask(causal(5, 5, x.device), bias=alibi.bias(5, 5)))[0, 3, :6]
    distance = torch.tensor([3.0, 2.0, 1.0, 0.0])  # of query 3 to keys 0 … 3; key 4 is the future
    weights = torch.softmax(-torch.tensor(alibi_slopes(6))[:, None] * distance, dim=1)  # whatever d_head is
    close(got, weights @ torch.arange(1.0, 5.0))


@every_implementation
@pytest.mark.parametrize("position", ["learned", "sinusoidal", "rope", "alibi", "none"])
def test_nothing_leaks_from_the_future(position: str, implementation: str, small_model, tokens: Tensor) -> None:
    model = small_model(implementation, position=position, n_kv_heads=2)
    changed = tokens.clone()
    changed[:, 6:] = (changed[:, 6:] + 1) % 31
    before, after = model(tokens), model(changed)
    close(before[:, :6], after[:, :6], atol=0, rtol=0)
    assert (before[:, 6] - after[:, 6]).abs().max() > 1e-2  # a strict triangle would hide a token from itself
    past = tokens.clone()
    past[:, 5] = (past[:, 5] + 1) % 31
    assert (before[:, 6] - model(past)[:, 6]).abs().max() > 1e-3
    assert model(tokens[:, :1]).shape == (3, 1, 31)


@every_implementation
def test_grouped_heads_are_interleaved_not_tiled(implementation: str, small_config) -> None:
    grouped = resolve("attention", "multi_head", implementation)(small_config(n_kv_heads=2))  # three heads to one
    full = resolve("attention", "multi_head", implementation)(small_config())
    spread_parameters(grouped)
    with torch.no_grad():
        for packed, wide in (
            (grouped.qkv_proj.weight, full.qkv_proj.weight),
            (grouped.qkv_proj.bias, full.qkv_proj.bias),
        ):
            query, key, value = packed.split((24, 8, 8))
            copies = [part.view(2, 4, -1)[[0, 0, 0, 1, 1, 1]].reshape(24, *packed.shape[1:]) for part in (key, value)]
            wide.copy_(torch.cat([query, *copies]))
        full.out_proj.load_state_dict(grouped.out_proj.state_dict())
    x = torch.randn(2, 5, 24)
    position = Position(small_config())
    close(grouped(x, position), full(x, position), atol=1e-5, rtol=1e-5)


@every_implementation
def test_scores_are_divided_by_the_root_of_d_head(implementation: str, small_config) -> None:
    config = small_config(n_heads=1, d_head=16, qkv_bias=False, attention_out_bias=False)
    attention = resolve("attention", "multi_head", implementation)(config)
    with torch.no_grad():
        attention.qkv_proj.weight.zero_()
        attention.qkv_proj.weight[0, 0] = 1.0  # query dimension 0 reads x[0]
        attention.qkv_proj.weight[16, 1] = 1.0  # key dimension 0 reads x[1]
        attention.qkv_proj.weight[32, 2] = 1.0  # value dimension 0 reads x[2]
        attention.out_proj.weight.zero_()
        attention.out_proj.weight[0, 0] = 1.0
    x = torch.zeros(1, 2, 24)
    x[0, 1, 0], x[0, 0, 1], x[0, 0, 2] = 2.0, 4.0, 1.0  # q of token 1 · k of token 0 = 8; its own key is 0
    weight_of_token_0 = attention(x, Position(config))[0, 1, 0].item()
    assert weight_of_token_0 == pytest.approx(1 / (1 + math.exp(-8 / math.sqrt(16))), abs=1e-6)


def test_tied_matrix_is_stored_once(small_config, tokens: Tensor) -> None:
    tied, untied = build_model(small_config(), seed=1), build_model(small_config(tie_embeddings=False), seed=1)
    assert "unembedding.weight" not in tied.state_dict()
    assert untied.unembedding.weight.data_ptr() != untied.token_embedding.weight.data_ptr()
    assert sum(p.numel() for p in untied.parameters()) - sum(p.numel() for p in tied.parameters()) == 31 * 24
    tied(tokens[:1, :3]).sum().backward()
    seen = tokens[0, :3]
    assert (tied.token_embedding.weight.grad.abs().sum(dim=1) > 0).all()  # rows of other tokens: from the output side
    untied(tokens[:1, :3]).sum().backward()
    assert (untied.token_embedding.weight.grad.abs().sum(dim=1) > 0).sum() == len(set(seen.tolist()))


@pytest.mark.parametrize("placement", ["pre", "post"])
def test_norm_placement(placement: str, small_model, tokens: Tensor) -> None:
    model = small_model(norm_placement=placement)
    assert any(key.startswith("final_norm") for key in model.state_dict()) == (placement == "pre")
    block, x = model.blocks[0], torch.randn(2, 5, 24)
    with torch.no_grad():
        block.mlp_norm.weight.fill_(1.0)
        block.mlp_norm.bias.fill_(0.0)
    y = block(x, model.positional_embedding)
    normalized = bool((y.mean(dim=-1).abs() < 1e-4).all() and (y.var(dim=-1, correction=0) - 1).abs().max() < 1e-2)
    assert normalized == (placement == "post")
    if placement == "pre":  # with both parts silent the stream passes untouched
        for part in (block.attention.out_proj, block.mlp.down_proj):
            torch.nn.init.zeros_(part.weight)
            torch.nn.init.zeros_(part.bias)
        close(block(x, model.positional_embedding), x, atol=0, rtol=0)


@every_implementation
@pytest.mark.parametrize("autocast", [False, True], ids=["float32", "bfloat16"])
def test_dropout_acts_in_training_only(implementation: str, autocast: bool, small_model, tokens: Tensor) -> None:
    model = small_model(implementation, dropout=0.5)
    plain = small_model(implementation, dropout=0.0)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        close(model(tokens), plain(tokens), atol=0.0 if not autocast else 0.1, rtol=0)
        model.train()
        assert not torch.equal(model(tokens), model(tokens))
        attention = model.blocks[0].attention
        x, position = torch.randn(1, 6, 24), model.positional_embedding
        assert not torch.equal(attention(x, position), attention(x, position))  # dropout on the pattern
        attention.eval()
        close(attention(x, position), attention(x, position), atol=0, rtol=0)


@every_implementation
def test_dropout_acts_on_the_embedding_and_on_what_each_part_adds(implementation: str, small_model, tokens) -> None:
    model = small_model(implementation, dropout=0.5)
    model.dropout.train()
    assert not torch.equal(model(tokens), model(tokens))
    block, x = model.blocks[0], torch.randn(1, 6, 24)
    block.dropout.train()
    for silent in (block.attention.out_proj, block.mlp.down_proj):  # so that only the other part adds anything
        saved = {name: value.clone() for name, value in silent.state_dict().items()}
        silent.load_state_dict({name: torch.zeros_like(value) for name, value in saved.items()})
        assert not torch.equal(block(x, model.positional_embedding), block(x, model.positional_embedding))
        silent.load_state_dict(saved)


@every_implementation
def test_a_text_does_not_depend_on_its_batch(implementation: str, small_model, tokens: Tensor) -> None:
    model = small_model(implementation, position="rope")
    close(model(tokens)[1:2], model(tokens[1:2]), atol=1e-4, rtol=1e-4)
    close(model(tokens.flip(0)), model(tokens).flip(0), atol=1e-4, rtol=1e-4)


def test_learned_positions_are_counted_from_zero(small_model, tokens: Tensor) -> None:
    model = small_model()
    with torch.no_grad():
        before = model(tokens[:, :3])
        model.positional_embedding.weight[3:] += 1.0
        close(model(tokens[:, :3]), before, atol=0, rtol=0)
        model.positional_embedding.weight[0] += torch.randn(24)
        assert (model(tokens[:, :3])[:, 0] - before[:, 0]).abs().max() > 1e-2


def test_initial_values(small_config) -> None:
    config = small_config(d_model=96, n_heads=6, d_head=16, d_mlp=256, d_vocab=500, n_layers=8, init_std=0.05)
    model = build_model(config, seed=2)
    for name, parameter in model.named_parameters():
        if parameter.ndim == 1:
            assert (parameter == (0.0 if name.endswith("bias") else 1.0)).all(), name
            continue
        residual = name.endswith(("out_proj.weight", "down_proj.weight"))
        assert parameter.std().item() == pytest.approx(0.05 / (4.0 if residual else 1.0), rel=0.05), name
    unscaled = build_model(config.replace(scale_residual_init=False), seed=2)
    assert unscaled.blocks[0].mlp.down_proj.weight.std().item() == pytest.approx(0.05, rel=0.05)


def test_a_seed_leaves_the_global_generator_alone(small_config) -> None:
    torch.manual_seed(4)
    expected = torch.rand(1)
    torch.manual_seed(4)
    build_model(small_config(), seed=9)
    assert torch.equal(torch.rand(1), expected)
    torch.manual_seed(4)
    first = build_model(small_config())
    assert not torch.equal(first.token_embedding.weight, build_model(small_config()).token_embedding.weight)


def test_meta_device_counts_without_memory(small_config) -> None:
    config = small_config(
        position="rope", mlp="swiglu", d_vocab=50_257, d_model=4096, n_heads=32, d_head=128, d_mlp=11_008
    )
    with torch.device("meta"):
        model = build_model(config)
    assert all(parameter.is_meta for parameter in model.parameters())
    assert sum(parameter.numel() for parameter in model.parameters()) == count_parameters(config)


def test_too_long_texts_are_refused_before_anything_changes(small_model, tokens: Tensor) -> None:
    model = small_model()
    long = torch.zeros(1, 17, dtype=torch.long)
    with pytest.raises(ValueError, match="17 tokens are more than the model's context n_ctx = 16"):
        model(long)
    cache = KVCache(model.config, batch=3, capacity=8)
    with pytest.raises(ValueError, match="room for 8 tokens and holds 0; 11 more"):
        model(tokens, cache=cache)
    with pytest.raises(ValueError, match="batch of 3 texts, not of 1"):
        model(tokens[:1, :2], cache=cache)
    assert cache.length == 0


def test_state_dict_keys_are_canonical(small_config) -> None:
    keys = set(build_model(small_config(n_layers=1, mlp="swiglu", tie_embeddings=False), seed=1).state_dict())
    both = {f"blocks.0.{part}.{kind}" for kind in ("weight", "bias") for part in (
        "attention_norm", "attention.qkv_proj", "attention.out_proj", "mlp_norm", "mlp.gate_proj", "mlp.up_proj",
        "mlp.down_proj")}  # fmt: skip
    assert keys == both | {"token_embedding.weight", "positional_embedding.weight", "final_norm.weight",
                           "final_norm.bias", "unembedding.weight"}  # fmt: skip


def test_rule_for_written_out_attention() -> None:
    query = torch.zeros(1, 1, 2, 4, dtype=torch.bfloat16)
    assert written_out_attention_is_faster(query.clone().requires_grad_())
    assert not written_out_attention_is_faster(query)
    assert not written_out_attention_is_faster(query.float().requires_grad_())


def test_shapes_are_checked_in_tests(small_config) -> None:
    """If this fails, components was imported before the hook in tests/conftest.py, and no shape is checked."""
    mlp = resolve("mlp", "gelu", "fused")(small_config())
    with pytest.raises(Exception, match="Type-check error"):
        mlp(torch.zeros(3, 24))


@pytest.mark.parametrize("implementation", ["einops", "torch", "fused"])
def test_swiglu_gradients_survive_gates_far_below_zero(implementation, small_config):
    mlp = resolve("mlp", "swiglu", implementation)(small_config(mlp="swiglu"))
    x = torch.full((1, 2, 24), 1e4, requires_grad=True)
    mlp(x).sum().backward()
    assert x.grad is not None and torch.isfinite(x.grad).all()
