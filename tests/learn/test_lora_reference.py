"""The adapter in torch against the one in NumPy: outputs, gradients, and the merged matrix."""

import numpy as np
import torch
from torch import nn

from config.lora_config import LoraConfig
from learn.reference import lora as reference
from training.lora import LoraLinear


def test_an_adapted_map_agrees_with_the_reference():
    draw = np.random.default_rng(4)
    adapted = LoraLinear(nn.Linear(7, 5, bias=False), LoraConfig(lora_rank=3, lora_alpha=6.0), torch.Generator())
    with torch.no_grad():
        adapted.lora_B.copy_(torch.from_numpy(draw.normal(size=(5, 3))))
    as_numpy = {name: tensor.detach().numpy().astype(np.float64) for name, tensor in adapted.named_parameters()}
    weights = {"A": as_numpy["lora_A"], "B": as_numpy["lora_B"]}
    x, dy = draw.normal(size=(2, 4, 7)), draw.normal(size=(2, 4, 5))

    inputs = torch.tensor(x, dtype=torch.float32, requires_grad=True)
    y = adapted(inputs)
    y.backward(torch.tensor(dy, dtype=torch.float32))
    expected, saved = reference.forward(x, as_numpy["weight"], weights, alpha=6.0)
    dx, gradients = reference.backward(dy, saved)
    np.testing.assert_allclose(y.detach().numpy(), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(inputs.grad.numpy(), dx, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(adapted.lora_A.grad.numpy(), gradients["A"], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(adapted.lora_B.grad.numpy(), gradients["B"], rtol=1e-5, atol=1e-5)
    assert adapted.weight.grad is None
    merged = (adapted.weight + adapted.update).detach().numpy()
    np.testing.assert_allclose(merged, reference.merged(as_numpy["weight"], weights, 6.0), rtol=1e-5, atol=1e-5)
