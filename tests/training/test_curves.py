"""What must not change a curve does not: how often one evaluates, and who computes."""

import json

import pytest

from training.worker import run_worker


def losses(run):
    assert run_worker(run) == 0
    lines = [json.loads(line) for line in run.metrics_path.read_text().splitlines()]
    return [line["train_loss_nats"] for line in lines if "train_loss_nats" in line]


def test_how_often_one_evaluates_never_changes_the_training(make_run):
    model = {"dropout": 0.2}  # which draws from the generator that an evaluation could disturb
    often = losses(make_run(model, {"eval_interval": 1, "eval_iters": 3, "sample_tokens": 4}))
    seldom = losses(make_run(model, {"eval_interval": 12, "eval_iters": 1, "sample_tokens": 0}))
    assert [loss.hex() for loss in often] == [loss.hex() for loss in seldom]


@pytest.mark.parametrize("optimizer", ["adamw", "adamw_plain", "muon", "sgd"])
def test_every_optimizer_learns_the_same_in_every_implementation(make_run, optimizer):
    model = {"norm": "rmsnorm", "position": "rope", "mlp": "swiglu"}
    training = {"optimizer": optimizer, "lr": 0.3 if optimizer == "sgd" else 1e-2}
    curves = [losses(make_run(model, training, implementation=name)) for name in ("einops", "torch", "fused")]
    assert curves[0][-1] < curves[0][0] - 0.05
    for curve in curves[1:]:
        assert curve == pytest.approx(curves[0], abs=1e-3)
