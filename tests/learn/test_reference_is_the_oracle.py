"""The torch implementations against the NumPy reference: same logits, loss and gradients from the same weights."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from components.model import build_model
from config.catalog import IMPLEMENTATIONS
from config.model_config import ModelConfig
from config.train_config import TrainConfig
from learn.reference import model as reference
from learn.reference.training import train
from training.optimizer import build_optimizer

BASE = {"d_model": 24, "n_layers": 2, "n_heads": 6, "d_mlp": 40, "n_ctx": 9, "d_vocab": 11, "norm_eps": 3e-3}
LLAMA = {"norm": "rmsnorm", "mlp": "swiglu", "position": "rope", "tie_embeddings": False, "n_kv_heads": 2}
NO_BIAS = {"qkv_bias": False, "attention_out_bias": False, "mlp_bias": False, "norm_bias": False}
CONFIGS = {
    "gpt2": {},
    "llama": LLAMA | NO_BIAS,
    "olmo": {"position": "alibi", "mlp": "swiglu", "tie_embeddings": False} | NO_BIAS,
    "the 2017 transformer": {"position": "sinusoidal", "norm_placement": "post", "gelu_form": "exact"},
    "one key/value head, wide heads": {"n_kv_heads": 1, "d_head": 6, "position": "rope"},
    "no positions": {"position": "none", "norm": "rmsnorm"},
}


def built(name: str, implementation: str) -> tuple[torch.nn.Module, ModelConfig, dict[str, np.ndarray]]:
    """A model with weights that hide nothing (gains off 1, biases off 0), and the same weights in float64."""
    config = ModelConfig(**BASE | CONFIGS[name])
    model = build_model(config, implementation, seed=3)
    draw = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=draw) * 0.2)
    return model, config, {key: value.numpy().astype(np.float64) for key, value in model.state_dict().items()}


def batch(config: ModelConfig) -> tuple[np.ndarray, np.ndarray]:
    stretch = np.random.default_rng(1).integers(0, config.d_vocab, (3, config.n_ctx + 1))
    return stretch[:, :-1], stretch[:, 1:]


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("name", CONFIGS)
def test_every_implementation_agrees_with_the_reference(name, implementation):
    model, config, weights = built(name, implementation)
    tokens, targets = batch(config)
    logits = model(torch.from_numpy(tokens))
    loss = F.cross_entropy(logits.flatten(0, 1), torch.from_numpy(targets).flatten())
    loss.backward()

    expected_logits, _ = reference.forward(tokens, weights, config)
    expected_loss, expected = reference.loss_and_gradients(tokens, targets, weights, config)
    np.testing.assert_allclose(logits.detach().numpy(), expected_logits, rtol=1e-5, atol=1e-5)
    assert loss.item() == pytest.approx(expected_loss, abs=1e-6)
    found = {key: parameter.grad.numpy() for key, parameter in model.named_parameters()}
    assert found.keys() == expected.keys()
    for key, gradient in found.items():
        np.testing.assert_allclose(gradient, expected[key], rtol=1e-5, atol=1e-5, err_msg=key)


@pytest.mark.parametrize("name", CONFIGS)
def test_its_own_initial_weights_have_the_names_and_shapes_of_the_model(name):
    model, config, _ = built(name, "einops")
    assert reference.shapes(config) == {key: tuple(value.shape) for key, value in model.state_dict().items()}


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_a_model_trained_in_numpy_follows_the_curve_of_torch(name):
    """50 steps from the same weights on the same batches; the losses differ by less than 1e-4."""
    config = ModelConfig(**BASE | CONFIGS[name])
    model = build_model(config, "fused", seed=3)
    weights = {key: value.numpy().copy() for key, value in model.state_dict().items()}
    draw = np.random.default_rng(2)
    pattern = np.arange(400) * 3 % config.d_vocab  # something to learn
    starts = draw.integers(0, len(pattern) - config.n_ctx - 1, (50, 8))
    stretches = [pattern[row[:, None] + np.arange(config.n_ctx + 1)] for row in starts]

    in_numpy = list(train(weights, config, iter([(s[:, :-1], s[:, 1:]) for s in stretches]), 50, lr=3e-3))
    optimizer = build_optimizer(model, TrainConfig(beta1=0.9, beta2=0.95, weight_decay=0.1, optimizer="adamw_plain"))
    in_torch = []
    for stretch in map(torch.from_numpy, stretches):
        loss = F.cross_entropy(model(stretch[:, :-1]).flatten(0, 1), stretch[:, 1:].flatten())
        loss.backward()
        optimizer.set_rate(3e-3)
        optimizer.step(max(1.0, float(optimizer.gradient_norm())))
        optimizer.zero_grad()
        in_torch.append(loss.item())
    assert in_torch[-1] < 0.5 * in_torch[0]
    np.testing.assert_allclose(in_numpy, in_torch, rtol=0, atol=1e-4)
