"""The mixture of experts in torch against the one in NumPy: outputs, and gradients through router and experts."""

import numpy as np
import pytest
import torch

from components.registry import resolve
from config.catalog import IMPLEMENTATIONS
from config.model_config import ModelConfig
from learn.reference import moe as reference

draw = np.random.default_rng(3)
SETTINGS = {"d_model": 12, "n_heads": 2, "d_mlp": 20, "mlp": "swiglu", "mlp_bias": False, "n_experts": 5}
NAMES = {"router.score_proj.weight": "router.weight"}  # ours, and what the reference calls it


@pytest.mark.parametrize("renormalize", [True, False])
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_the_mixture_agrees_with_the_reference(implementation, renormalize):
    config = ModelConfig(**SETTINGS, experts_per_token=2, router_renormalize=renormalize)
    mixture = resolve("experts", "mixture", implementation)(config)
    weights = {}
    with torch.no_grad():
        for name, parameter in mixture.named_parameters():
            values = draw.normal(size=parameter.shape) * 0.3
            parameter.copy_(torch.from_numpy(values))
            weights[NAMES.get(name, name)] = parameter.numpy().astype(np.float64)
    x, dy = draw.normal(size=(2, 9, 12)), draw.normal(size=(2, 9, 12))

    tokens = torch.tensor(x, dtype=torch.float32, requires_grad=True)
    y = mixture(tokens)
    y.backward(torch.tensor(dy, dtype=torch.float32))
    expected, saved = reference.forward(x.reshape(18, 12), weights, 2, renormalize)
    dx, gradients = reference.backward(dy.reshape(18, 12), saved)

    np.testing.assert_allclose(y.detach().numpy().reshape(18, 12), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(tokens.grad.numpy().reshape(18, 12), dx, rtol=1e-5, atol=1e-5)
    found = {NAMES.get(name, name): parameter.grad.numpy() for name, parameter in mixture.named_parameters()}
    assert found.keys() == gradients.keys()
    for name, gradient in found.items():
        np.testing.assert_allclose(gradient, gradients[name], rtol=1e-5, atol=1e-5, err_msg=name)
