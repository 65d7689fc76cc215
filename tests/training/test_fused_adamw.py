"""The fused AdamW is torch's, number for number, and a training starts without torch's compiler."""

import subprocess
import sys
from pathlib import Path

import torch
from torch import nn

from training.fused_adamw import FusedAdamW

ROOT = Path(__file__).resolve().parents[2]
TRAINING = """
import sys
import torch
from components.model import build_model
from config.model_config import ModelConfig
from config.train_config import TrainConfig
from training import trainer
from training.loss import LossFunction
from training.optimizer import build_optimizer

model = build_model(ModelConfig(d_model=16, n_layers=1, n_heads=2, d_mlp=32, n_ctx=8, d_vocab=11), seed=1)
optimizer = build_optimizer(model, TrainConfig())
LossFunction((2, 8))(model, torch.ones(2, 8, dtype=torch.long), torch.ones(2, 8, dtype=torch.long)).backward()
optimizer.step()
sys.exit("torch._dynamo" in sys.modules)
"""


def test_it_computes_what_torchs_own_does_bit_for_bit():
    torch.manual_seed(0)
    values = [torch.randn(7, 5), torch.randn(5)]
    mine, theirs = ([nn.Parameter(value.clone()) for value in values] for _ in range(2))

    def groups(parameters: list[nn.Parameter]) -> list[dict]:
        matrix, vector = parameters
        return [{"params": [matrix], "weight_decay": 0.1}, {"params": [vector], "weight_decay": 0.0}]

    one = FusedAdamW(groups(mine), 1e-2, (0.9, 0.99))
    two = torch.optim.AdamW(groups(theirs), 1e-2, (0.9, 0.99), fused=True)
    for _ in range(5):
        for left, right in zip(mine, theirs, strict=True):
            left.grad = torch.randn_like(left)
            right.grad = left.grad.clone()
        one.step()
        two.step()
    for left, right in zip(mine, theirs, strict=True):
        assert torch.equal(left, right)
        assert one.state[left].keys() == two.state[right].keys()
        assert all(torch.equal(one.state[left][name], two.state[right][name]) for name in one.state[left])


def test_a_training_starts_without_loading_the_compiler():
    assert subprocess.run([sys.executable, "-c", TRAINING], cwd=ROOT, timeout=100).returncode == 0
