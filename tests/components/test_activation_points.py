"""Activation points: looking changes nothing, replacing changes what it should, and only einops has them."""

import pytest
import torch
from torch import Tensor, nn

from components.activation_point import ActivationPoint
from components.model import Transformer
from tests.components.test_contract import CONFIGS


def points_of(model: nn.Module) -> dict[str, ActivationPoint]:
    return {name: part for name, part in model.named_modules() if isinstance(part, ActivationPoint)}


def called(model: Transformer, tokens: Tensor) -> list[str]:
    """The names of the points that a forward pass reaches, in its order."""
    seen: list[str] = []
    hooks = [
        point.register_forward_hook(lambda module, inputs, output, name=name: seen.append(name))
        for name, point in points_of(model).items()
    ]
    model(tokens)
    for hook in hooks:
        hook.remove()
    return seen


@pytest.mark.parametrize("change", CONFIGS)
def test_every_point_is_reached_once_and_looking_changes_no_bit(change: str, small_model, tokens: Tensor) -> None:
    model = small_model("einops", **CONFIGS[change])
    before = model(tokens)
    kept = []
    hooks = [
        point.register_forward_hook(lambda module, inputs, output: kept.append(output.clone()))
        for point in points_of(model).values()
    ]
    assert torch.equal(model(tokens), before)
    for hook in hooks:
        hook.remove()
    assert len(kept) == len(points_of(model))
    assert sorted(called(model, tokens)) == sorted(points_of(model))


def test_the_points_come_in_the_order_of_the_computation(small_model, tokens: Tensor) -> None:
    names = called(small_model("einops", n_layers=1, mlp="swiglu", position="learned"), tokens)
    norm = ["hook_scale", "hook_normalized"]
    expected = ["hook_embed", "positional_embedding.hook_pos_embed", "blocks.0.hook_resid_pre"]
    expected += [f"blocks.0.attention_norm.{name}" for name in norm]
    expected += [f"blocks.0.attention.hook_{name}" for name in ("q", "k", "v", "attn_scores", "pattern", "z")]
    expected += ["blocks.0.hook_attn_out", "blocks.0.hook_resid_mid"]
    expected += [f"blocks.0.mlp_norm.{name}" for name in norm]
    expected += [f"blocks.0.mlp.hook_{name}" for name in ("pre", "pre_linear", "post")]
    expected += ["blocks.0.hook_mlp_out", "blocks.0.hook_resid_post"]
    assert names == [*expected, *(f"final_norm.{name}" for name in norm)]


def test_another_value_goes_on_through_the_model(small_model, tokens: Tensor) -> None:
    model = small_model("einops", n_layers=1)
    block = model.blocks[0]
    with torch.no_grad():
        block.hook_attn_out.register_forward_hook(lambda module, inputs, output: torch.zeros_like(output))
        without = model(tokens)
        block.hook_attn_out._forward_hooks.clear()
        block.attention.out_proj.weight.zero_()
        block.attention.out_proj.bias.zero_()
        assert torch.equal(without, model(tokens))


@pytest.mark.parametrize("implementation", ["torch", "fused"])
def test_other_implementations_pay_for_no_point(implementation: str, small_model, tokens: Tensor) -> None:
    model = small_model(implementation)
    assert called(model, tokens) == []
    assert not any(isinstance(part, ActivationPoint) for part in (*model.children(), *model.blocks[0].children()))
    assert list(model.state_dict()) == list(small_model("einops").state_dict())
    assert not any("hook" in name for name in model.state_dict())
