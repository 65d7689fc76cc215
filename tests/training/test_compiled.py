"""Compiled code learns what the other learns, and in two threads computes the same bits every time."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from components.activation import GeluWithSlope, gelu_and_slope, kernel
from config.model_config import ModelConfig

ROOT = Path(__file__).resolve().parents[2]
FORMS = {"exact": "none", "tanh": "tanh"}

# The gradients of one batch from compiled code in two threads, several times, and from the model as it is.
TRAINING = """
import json, sys
import torch
from components.model import build_model
from config.model_config import ModelConfig
from training.device import repeat_exactly
from training.loss import LossFunction

torch.set_num_threads(2)
if sys.argv[1] == "repeat":
    repeat_exactly(torch.device("cpu"))
config = ModelConfig(d_model=128, n_layers=1, n_heads=4, d_mlp=512, n_ctx=64, d_vocab=65)
model = build_model(config, sys.argv[2], seed=1)
tokens = torch.randint(65, (12, 65), generator=torch.Generator().manual_seed(2))

def gradients(compiled):
    loss_of = losses[compiled]
    loss = loss_of(model, tokens[:, :-1], tokens[:, 1:])
    return [loss.detach(), *torch.autograd.grad(loss, list(model.parameters()))]

losses = {compiled: LossFunction((12, 64), compiled) for compiled in (True, False)}
first = gradients(True)
differ = sum(not all(map(torch.equal, gradients(True), first)) for _ in range(20))
apart = max(((a - b).abs().max() / b.abs().max()).item() for a, b in zip(first, gradients(False)))
print(json.dumps([differ, apart]))
"""


def run(mode: str, implementation: str) -> tuple[int, float]:
    child = subprocess.run(
        [sys.executable, "-c", TRAINING, mode, implementation],
        cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "2"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    differ, apart = json.loads(child.stdout)
    return differ, apart


@pytest.mark.slow  # to compile takes 10 s, on a busy machine 80
@pytest.mark.parametrize("implementation", ["einops", "torch", "fused"])
def test_compiled_code_repeats_itself_and_agrees_with_the_model_as_it_is(implementation):
    differ, apart = run("repeat", implementation)
    assert differ == 0
    assert apart < 1e-4


@pytest.mark.slow
def test_it_would_not_repeat_itself_by_itself():
    assert run("as it is", "fused")[0] > 0


@pytest.mark.parametrize("form", FORMS)
def test_gelu_with_its_slope_is_gelu(form):
    x = torch.linspace(-30, 30, 600_001, dtype=torch.float64, requires_grad=True)
    expected = F.gelu(x, approximate=FORMS[form])
    expected.sum().backward()
    value, slope = gelu_and_slope(x.detach().float(), form)
    torch.testing.assert_close(value.double(), expected.detach(), atol=2e-6, rtol=0)
    torch.testing.assert_close(slope.double(), x.grad, atol=3e-6, rtol=0)
    assert torch.autograd.gradcheck(lambda x: gelu_and_slope(x, form)[0], torch.randn(50).double().requires_grad_())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("form", FORMS)
def test_gelu_keeps_the_format_of_its_input(form, dtype):
    x = torch.randn(1000).to(dtype).requires_grad_()
    y = GeluWithSlope.apply(x, form)
    assert y.dtype == dtype
    (gradient,) = torch.autograd.grad(y, x, torch.full_like(y, 2.0))
    (expected,) = torch.autograd.grad(F.gelu(x, approximate=FORMS[form]), x, torch.full_like(y, 2.0))
    tolerance = max(1e-6, 2 * torch.finfo(dtype).eps)
    torch.testing.assert_close(gradient, expected, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("form", FORMS)
def test_only_what_is_compiled_and_trained_takes_it(form, monkeypatch):
    gelu, taken = kernel(ModelConfig(mlp="gelu", gelu_form=form)), []
    monkeypatch.setattr(GeluWithSlope, "apply", lambda x, form: (taken.append(form), x)[1])
    x = torch.randn(10)
    torch.testing.assert_close(gelu(x), F.gelu(x, approximate=FORMS[form]))
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    gelu(x)
    gelu(x.double().requires_grad_())
    assert not taken
    gelu(x.requires_grad_())
    assert taken == [form]
