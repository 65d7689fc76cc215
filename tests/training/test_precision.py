"""float16 training: the scale moves as torch's does, overflows are skipped and counted, too many end the run."""

import json
import math

import pytest
import torch

from runs.state import read_status
from tests.training.conftest import TRAINING
from training import precision
from training import trainer as trainer_module
from training.precision import LossScale
from training.worker import run_worker


def steps_of(run):
    lines = [json.loads(line) for line in run.metrics_path.read_text().splitlines()]
    return [line for line in lines if "train_loss_nats" in line]


def test_the_scale_moves_as_torchs(monkeypatch):
    monkeypatch.setattr(precision, "GROWTH_INTERVAL", 3)
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    torchs = torch.amp.GradScaler("cpu", growth_interval=3)
    ours = LossScale()
    for overflowed in (1, 0, 0, 0, 0, 0, 1, 0, 0, 1, 1, 0, 0, 0, 0):
        torchs.scale(weight.sum() * 0.0)  # makes its tensors
        weight.grad = torch.full((1,), math.inf if overflowed else 1.0)
        torchs.step(optimizer)
        torchs.update()
        ours.note(bool(overflowed))
        assert ours.scale == torchs.get_scale()
    assert (ours.skipped_steps, ours.skipped_in_a_row) == (4, 0)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])  # AdamW would not notice a scale left in the gradients
@pytest.mark.parametrize("dtype, tolerance", [("bfloat16", 0.05), ("float16", 0.02)])
def test_sixteen_bits_learn_nearly_the_same_curve(make_run, dtype, tolerance, optimizer):
    curves = []
    for name in ("float32", dtype):
        run = make_run(training={"dtype": name, "optimizer": optimizer})
        assert run_worker(run) == 0
        curves.append([line["train_loss_nats"] for line in steps_of(run)])
    assert curves[0] != curves[1]
    assert curves[1] == pytest.approx(curves[0], abs=tolerance)


def test_gradients_that_overflow_are_skipped_counted_and_the_scale_finds_its_place(make_run, monkeypatch):
    monkeypatch.setattr(LossScale.__init__, "__defaults__", (2.0**40, 0, 0, 0))
    run = make_run(training={"dtype": "float16", "max_steps": TRAINING["max_steps"] + 30, "schedule": "constant"})
    weights = []
    original = trainer_module.Trainer.update

    def update(self):
        original(self)
        weights.append(self.model.token_embedding.weight.detach().clone())

    monkeypatch.setattr(trainer_module.Trainer, "update", update)
    assert run_worker(run) == 0
    steps = steps_of(run)
    skipped = [line["skipped_steps"] for line in steps]
    assert skipped[:3] == [1, 2, 3] and skipped[-1] == skipped[-10] < 42  # one for each halving, then none
    assert steps[0]["grad_norm"] == "inf" or steps[0]["grad_norm"] == "nan"
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[-2], weights[-1])
    assert steps[-1]["train_loss_nats"] < steps[0]["train_loss_nats"]


def test_fifty_overflows_in_a_row_end_the_run_with_the_reason(make_run, monkeypatch):
    monkeypatch.setattr(trainer_module, "SKIPS_ALLOWED", 5)
    original = trainer_module.Trainer.loss
    monkeypatch.setattr(trainer_module.Trainer, "loss", lambda *given: InfBack.apply(original(*given)))
    run = make_run(training={"dtype": "float16"})
    assert run_worker(run) == 1
    assert "5 times in a row at step 5" in read_status(run).reason
    assert [line["skipped_steps"] for line in steps_of(run)] == [1, 2, 3, 4]


def test_without_a_scale_the_first_overflow_ends_the_run(make_run, monkeypatch):
    original = trainer_module.Trainer.loss
    monkeypatch.setattr(trainer_module.Trainer, "loss", lambda *given: InfBack.apply(original(*given)))
    run = make_run()
    assert run_worker(run) == 1
    assert "the gradient norm became" in read_status(run).reason and steps_of(run) == []


class InfBack(torch.autograd.Function):
    """A sound loss whose gradient is not."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * math.inf


def test_a_float16_run_resumes_with_its_scale(make_run, monkeypatch):
    monkeypatch.setattr(LossScale.__init__, "__defaults__", (2.0**25, 0, 0, 0))
    whole, cut = make_run(training={"dtype": "float16"}), make_run(training={"dtype": "float16"})
    run_worker(whole)
    original = trainer_module.Trainer.update

    def die(self):
        original(self)
        if self.progress.step == 7:
            raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(trainer_module.Trainer, "update", die)
        with pytest.raises(SystemExit):
            run_worker(cut)
    run_worker(cut)
    keys = ("train_loss_nats", "grad_norm", "skipped_steps")
    assert steps_of(whole)[-1]["skipped_steps"] > 0
    assert [[line[key] for key in keys] for line in steps_of(whole)] == [
        [line[key] for key in keys] for line in steps_of(cut)
    ]
