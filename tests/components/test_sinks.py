"""Attention sinks: a score that takes part in the softmax and in nothing else."""

import math

import pytest
import torch

from components.attention_sinks import softmax_with_sinks
from components.model import build_model
from components.position import Position
from components.registry import resolve
from config.sizes import count_parameters
from tests.components.conftest import spread_parameters

every_implementation = pytest.mark.parametrize("implementation", ["einops", "torch", "fused"])
close = torch.testing.assert_close


@every_implementation
def test_a_sink_takes_its_share_of_the_softmax_and_gives_nothing(implementation: str, small_config) -> None:
    config = small_config(attention_sinks=True, attention_out_bias=False, n_kv_heads=2)
    attention = resolve("attention", "multi_head", implementation)(config)
    with torch.no_grad():  # queries and keys 0, every value 1: what comes out is how much weight the tokens get
        attention.qkv_proj.weight.zero_()
        attention.qkv_proj.bias.zero_()
        attention.qkv_proj.bias[-8:] = 1.0
        attention.out_proj.weight.copy_(torch.eye(24))
        attention.sinks.copy_(torch.tensor([0.0, 1.0, -1.0, 2.0, -50.0, 50.0]))
    weight = attention(torch.randn(1, 5, 24), Position(config))[0].view(5, 6, 4)[..., 0]  # [query head]
    for query in range(5):
        expected = [(query + 1) / (query + 1 + math.exp(sink)) for sink in attention.sinks.tolist()]
        close(weight[query], torch.tensor(expected), atol=1e-6, rtol=1e-5)


def test_a_pattern_with_sinks_sums_to_less_than_1_and_without_to_1() -> None:
    scores = torch.randn(2, 3, 4, 5)
    close(softmax_with_sinks(scores, None).sum(dim=-1), torch.ones(2, 3, 4))
    rows = softmax_with_sinks(scores, torch.tensor([0.0, 1.0, -1.0])).sum(dim=-1)
    assert (rows < 1).all() and (rows[:, 2] > rows[:, 1]).all()


@every_implementation
def test_a_model_without_sinks_is_one_whose_sinks_are_low(implementation: str, small_model, tokens) -> None:
    model, plain = small_model(implementation, attention_sinks=True), small_model(implementation)
    missing = plain.load_state_dict(model.state_dict(), strict=False).unexpected_keys
    assert missing == ["blocks.0.attention.sinks", "blocks.1.attention.sinks"]
    assert (model(tokens) - plain(tokens)).abs().max() > 1e-2
    with torch.no_grad():
        for block in model.blocks:
            block.attention.sinks.fill_(-1e9)
    close(model(tokens), plain(tokens), atol=1e-5, rtol=1e-5)


def test_sinks_begin_at_0_and_are_counted(small_config) -> None:
    config = small_config(attention_sinks=True)
    model = build_model(config, seed=1)
    assert all((block.attention.sinks == 0).all() for block in model.blocks)
    assert sum(parameter.numel() for parameter in model.parameters()) == count_parameters(config)
    spread_parameters(model)
    model.train()(torch.zeros(1, 3, dtype=torch.long)).sum().backward()
    assert all(block.attention.sinks.grad.abs().max() > 0 for block in model.blocks)
