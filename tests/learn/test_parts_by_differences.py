"""Every backward pass of the reference against finite differences, in float64, within 1e-9."""

import numpy as np
import pytest
from differences import assert_gradient

from learn.reference import (
    alibi,
    attention,
    cross_entropy,
    embed,
    layernorm,
    linear,
    lora,
    mlp,
    moe,
    rmsnorm,
    rope,
    swiglu,
)
from learn.reference.activations import ACTIVATIONS
from learn.reference.attention import Heads

draw = np.random.default_rng(7)


def normal(*shape: int) -> np.ndarray:
    return draw.normal(size=shape)


def linear_weights(name: str, out: int, into: int, bias: bool = True) -> dict[str, np.ndarray]:
    weights = {f"{name}weight": normal(out, into) * 0.4}
    return weights | ({f"{name}bias": normal(out) * 0.4} if bias else {})


def check(forward, backward, x: np.ndarray, weights: dict[str, np.ndarray]) -> None:
    """With a loss that weighs every output differently, all gradients agree with finite differences."""
    y, saved = forward()
    dy = normal(*y.shape)
    dx, gradients = backward(dy, saved)

    def loss() -> float:
        return float((forward()[0] * dy).sum())

    assert_gradient(loss, x, dx, "x")
    assert gradients.keys() == weights.keys()
    for name, weight in weights.items():
        assert_gradient(loss, weight, gradients[name], name)


@pytest.mark.parametrize("bias", [True, False])
def test_linear(bias):
    x, weights = normal(2, 3, 5), linear_weights("", 4, 5, bias)
    check(lambda: linear.forward(x, weights), linear.backward, x, weights)


@pytest.mark.parametrize("bias", [True, False])
def test_layernorm(bias):
    x, weights = normal(2, 3, 6), {"weight": normal(6)} | ({"bias": normal(6)} if bias else {})
    check(lambda: layernorm.forward(x, weights, 1e-3), layernorm.backward, x, weights)


def test_rmsnorm():
    x, weights = normal(2, 3, 6), {"weight": normal(6)}
    check(lambda: rmsnorm.forward(x, weights, 1e-3), rmsnorm.backward, x, weights)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_slope_of_an_activation(name):
    value, slope = ACTIVATIONS[name]
    x = normal(30) * 2
    assert_gradient(lambda: float(value(x).sum()), x, slope(x), name)


@pytest.mark.parametrize("activation", ["gelu", "gelu_tanh"])
def test_mlp(activation):
    x = normal(2, 3, 5)
    weights = linear_weights("up_proj.", 8, 5) | linear_weights("down_proj.", 5, 8)
    check(lambda: mlp.forward(x, weights, activation), mlp.backward, x, weights)


def test_swiglu():
    x = normal(2, 3, 5)
    weights = linear_weights("gate_proj.", 8, 5) | linear_weights("up_proj.", 8, 5) | linear_weights("down_proj.", 5, 8)
    check(lambda: swiglu.forward(x, weights), swiglu.backward, x, weights)


ANGLES = rope.angles(5, 4, 100.0)
HEADS = {
    "multi-head": Heads(6, 6, 4),
    "grouped": Heads(6, 2, 4),
    "multi-query": Heads(6, 1, 4),
    "grouped, RoPE": Heads(6, 2, 4, angles=ANGLES),
    "grouped, ALiBi": Heads(6, 2, 4, bias=alibi.bias(6, 5)),
}


@pytest.mark.parametrize("name", HEADS)
def test_attention(name):
    heads = HEADS[name]
    x = normal(2, 5, 7)
    weights = linear_weights("qkv_proj.", (heads.n_heads + 2 * heads.kv_heads) * 4, 7)
    weights |= linear_weights("out_proj.", 7, heads.n_heads * 4)
    check(lambda: attention.forward(x, weights, heads), attention.backward, x, weights)


def test_rope_turns_back():
    x, dy = normal(2, 3, 5, 4), normal(2, 3, 5, 4)
    assert_gradient(lambda: float((rope.forward(x, ANGLES) * dy).sum()), x, rope.backward(dy, ANGLES), "x")


def test_embedding_adds_up_every_use_of_a_row():
    E, P, tokens = normal(4, 3), normal(6, 3), np.array([[0, 2, 2], [2, 1, 0]])
    dx = normal(2, 3, 3)

    def loss() -> float:
        return float((embed.add_positions(embed.forward(tokens, E), P) * dx).sum())

    assert_gradient(loss, E, embed.backward(dx, tokens, E), "E")
    assert_gradient(loss, P, embed.add_positions_backward(dx, P), "P")


def test_cross_entropy():
    logits, targets = normal(2, 3, 5), draw.integers(0, 5, (2, 3))
    _, saved = cross_entropy.forward(logits, targets)
    assert_gradient(lambda: cross_entropy.forward(logits, targets)[0], logits, cross_entropy.backward(saved), "logits")


def test_lora():
    x, W0, weights = normal(2, 3, 5), normal(4, 5), {"A": normal(2, 5), "B": normal(4, 2)}
    check(lambda: lora.forward(x, W0, weights, 3.0), lora.backward, x, weights)
    y, _ = lora.forward(x, W0, weights, 3.0)
    np.testing.assert_allclose(y, x @ lora.merged(W0, weights, 3.0).T, atol=1e-12)


@pytest.mark.parametrize("renormalize", [True, False])
def test_mixture_of_experts(renormalize):
    # Scores lie far enough apart that a small change of x never changes which experts are chosen.
    x, weights = normal(6, 4), {"router.weight": normal(3, 4) * 2}
    for expert in range(3):
        for name, shape in (("gate_proj", (5, 4)), ("up_proj", (5, 4)), ("down_proj", (4, 5))):
            weights[f"experts.{expert}.{name}.weight"] = normal(*shape)
    scores = np.sort(x @ weights["router.weight"].T, axis=-1)
    assert (scores[:, 1] - scores[:, 0]).min() > 0.1
    check(lambda: moe.forward(x, weights, 2, renormalize), moe.backward, x, weights)
