"""Schedule, optimizer groups, evaluation and device choice, each against a value worked out by hand."""

import math

import pytest
import torch
from torch import nn

from components.model import build_model
from config.errors import ConfigError
from config.model_config import ModelConfig
from config.train_config import TrainConfig
from training.device import choose_device, choose_dtype
from training.loss import next_token_loss
from training.optimizer import build_optimizer, parameter_groups
from training.schedule import learning_rate

RATES = TrainConfig(lr=1.0, min_lr=0.1, warmup_steps=10, max_steps=110)


@pytest.mark.parametrize("schedule, step, expected", [
    ("cosine", 0, 0.1), ("cosine", 9, 1.0), ("cosine", 10, 1.0), ("cosine", 60, 0.55), ("cosine", 110, 0.1),
    ("linear", 60, 0.55), ("linear", 35, 0.775), ("constant", 4, 0.5), ("constant", 100, 1.0),
])  # fmt: skip
def test_the_rate_rises_then_falls_to_its_minimum(schedule, step, expected):
    assert learning_rate(step, RATES.replace(schedule=schedule), 110) == pytest.approx(expected)


def test_an_unset_final_rate_and_warm_up_follow_rate_and_length():
    config = TrainConfig(lr=0.5, max_steps=40)
    assert config.final_lr == 0.05 and (config.warmup_of(40), config.warmup_of(10_000)) == (2, 100)
    assert learning_rate(40, config, 40) == pytest.approx(0.05)
    assert TrainConfig(max_steps=5, lr=5e-5)  # no default that nobody gave stands in the way


def test_a_quarter_of_the_cosine_is_above_the_line():
    assert learning_rate(35, RATES, 110) == pytest.approx(0.1 + 0.9 * (1 + math.cos(math.pi / 4)) / 2)


def test_only_matrices_decay_and_a_tied_matrix_counts_once():
    model = build_model(ModelConfig(d_vocab=30, d_model=16, n_layers=1, n_heads=2, d_mlp=32, n_ctx=8))
    decayed, free = parameter_groups(dict(model.named_parameters()), 0.1)
    assert decayed["weight_decay"] == 0.1 and free["weight_decay"] == 0.0
    assert all(p.dim() == 2 for p in decayed["params"]) and all(p.dim() == 1 for p in free["params"])
    assert len(decayed["params"]) + len(free["params"]) == len(list(model.parameters()))


def test_one_step_of_the_optimizer_is_adamw_by_hand():
    layer = nn.Linear(1, 1)
    nn.init.ones_(layer.weight)
    nn.init.ones_(layer.bias)
    optimizer = build_optimizer(layer, TrainConfig(lr=0.1, weight_decay=0.5))
    for parameter in layer.parameters():
        parameter.grad.fill_(2.0)
    optimizer.step()
    # After bias correction the first step is lr · sign(gradient); decay shrinks the weight by lr · 0.5 beforehand.
    assert layer.weight.item() == pytest.approx(0.95 - 0.1, abs=1e-6)
    assert layer.bias.item() == pytest.approx(1.0 - 0.1, abs=1e-6)


def test_uniform_logits_cost_the_logarithm_of_the_vocabulary():
    logits = torch.zeros(2, 3, 7)
    assert next_token_loss(logits, torch.zeros(2, 3, dtype=torch.long)).item() == pytest.approx(math.log(7))


def test_a_device_or_format_that_is_not_here_is_refused():
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="cuda is not available here: take cpu"):
            choose_device("cuda")
    cpu = choose_device("cpu")
    assert choose_dtype("bfloat16", cpu) is torch.bfloat16
    assert choose_device("auto").type in ("cpu", "cuda", "mps")


def test_auto_takes_bfloat16_only_where_the_processor_multiplies_it(monkeypatch):
    cpu = torch.device("cpu")
    for fast, expected in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda fast=fast: {"avx512_bf16": fast})
        assert choose_dtype("auto", cpu) is expected
