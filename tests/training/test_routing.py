"""A mixture of experts in training: the penalty joins the gradient, not the number; routers leave notes."""

import json
import math

import pytest
import torch
from safetensors.torch import load_file

from components.balance import BIAS_STEP, RoutingRecord
from components.model import build_model
from config.model_config import ModelConfig
from text.packing import NOBODY
from training import loss as loss_module
from training.loss import model_loss, next_token_loss
from training.worker import run_worker

MIXTURE = {"n_experts": 4, "experts_per_token": 2, "d_expert": 8, "mlp": "swiglu"}
SIZES = {"d_vocab": 31, "d_model": 16, "n_layers": 3, "n_heads": 2, "d_mlp": 32, "n_ctx": 8, "moe_pattern": "mdm"}


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def lines_of(run, key: str) -> list[dict]:
    lines = [json.loads(line) for line in run.metrics_path.read_text().splitlines()]
    return [line for line in lines if key in line]


@pytest.fixture
def model():
    return build_model(ModelConfig(**SIZES, **MIXTURE, balance_loss=0.5, init_std=0.3), seed=1)


@pytest.fixture
def batch():
    tokens = torch.randint(31, (4, 9), generator=torch.Generator().manual_seed(0))
    return tokens[:, :-1], tokens[:, 1:]


def gradients(value, model):
    found = torch.autograd.grad(value, list(model.parameters()), retain_graph=True, allow_unused=True)
    return [torch.zeros_like(p) if g is None else g for p, g in zip(model.parameters(), found, strict=True)]


@pytest.mark.parametrize("is_chunked", [False, True])
def test_the_number_is_the_loss_and_the_gradient_that_of_loss_and_penalty(model, batch, is_chunked, monkeypatch):
    if is_chunked:
        monkeypatch.setattr(loss_module, "LARGE_LOGITS", 1)
        monkeypatch.setattr(loss_module, "CHUNK_LOGITS", 5 * 31)
    loss = model_loss(model, *batch)
    record = RoutingRecord()
    plain = next_token_loss(model(batch[0], record=record), batch[1])
    torch.testing.assert_close(loss, plain, rtol=1e-6, atol=0)
    assert record.penalty > 2.0  # uneven
    for got, language, even in zip(
        gradients(loss, model), gradients(plain, model), gradients(record.penalty, model), strict=True
    ):
        torch.testing.assert_close(got, language + 0.5 * even, rtol=1e-4, atol=1e-6)


def test_the_padding_of_packed_rows_is_no_visit(model, batch):
    documents = torch.zeros_like(batch[0])
    documents[:, 6:] = NOBODY
    _, sums = loss_module.loss_and_routing(model, *batch, documents)
    assert sums[:, :4].sum(dim=1).tolist() == [4 * 6 * 2.0] * 2  # rows, places with a token, experts of each


def test_a_run_notes_balance_after_steps_and_shares_after_evaluations(make_run):
    run = make_run(MIXTURE | {"n_layers": 3, "moe_pattern": "dmm"})
    assert run_worker(run) == 0
    steps, evaluations = lines_of(run, "train_loss_nats"), lines_of(run, "val_loss_nats")
    assert all(0.9 < line["expert_balance"] < 1.6 and "dropped_share" not in line for line in steps)
    for line in evaluations:
        assert len(line["expert_shares"]) == len(line["router_entropy_nats"]) == 2  # of three layers
        for shares, entropy in zip(line["expert_shares"], line["router_entropy_nats"], strict=True):
            assert len(shares) == 4 and sum(shares) == pytest.approx(1.0, abs=1e-4) and max(shares) < 0.51
            assert 0 < entropy <= math.log(4) + 1e-4
    assert evaluations[0]["router_entropy_nats"][0] == pytest.approx(math.log(4), abs=0.01)  # knows nothing yet
    assert "of which a token uses" in run.log_path.read_text()


def test_how_much_is_turned_away_is_noted_where_there_is_a_capacity(make_run):
    tight, wide = make_run(MIXTURE | {"expert_capacity": 0.5}), make_run(MIXTURE | {"expert_capacity": 4.0})
    for run in (tight, wide):
        run_worker(run)
    assert all(0.5 <= line["dropped_share"] < 0.9 for line in lines_of(tight, "train_loss_nats"))
    assert all(line["dropped_share"] == 0 for line in lines_of(wide, "train_loss_nats"))


def test_the_penalty_evens_the_load_and_is_not_in_the_loss(make_run):
    without, with_penalty = make_run(MIXTURE | {"balance_loss": 0.0}), make_run(MIXTURE | {"balance_loss": 1.0})
    for run in (without, with_penalty):
        run_worker(run)
    first, second = lines_of(without, "train_loss_nats"), lines_of(with_penalty, "train_loss_nats")
    assert first[0]["train_loss_nats"] == second[0]["train_loss_nats"]  # the same weights, the same number
    assert first[0]["grad_norm"] != second[0]["grad_norm"]
    assert second[-1]["expert_balance"] < first[-1]["expert_balance"]


def test_selection_biases_follow_every_step_and_lie_in_the_checkpoint(make_run):
    fields = {"router": "sigmoid", "router_selection_bias": True, "balance_loss": 0.0}
    run = make_run(MIXTURE | fields, {"grad_accumulation": 2})
    run_worker(run)
    for step in (8, 12):
        weights = load_file(run.step_path(step) / "model.safetensors")
        bias = weights["blocks.1.mlp.router.selection_bias"]
        steps_up = bias / BIAS_STEP
        torch.testing.assert_close(steps_up, steps_up.round(), rtol=0, atol=1e-3)
        assert 1 <= steps_up.abs().max() <= step + 1e-3
    assert not any("selection_bias" in name for name in load_file(run.step_path(12) / "optimizer.safetensors"))


def test_every_implementation_routes_and_learns_the_same(make_run):
    curves = []
    for implementation in ("einops", "torch", "fused"):
        run = make_run(MIXTURE | {"expert_capacity": 1.0}, implementation=implementation)
        run_worker(run)
        lines = lines_of(run, "train_loss_nats")
        curves.append([[line[key] for key in ("train_loss_nats", "expert_balance", "dropped_share")] for line in lines])
    for other in curves[1:]:
        torch.testing.assert_close(torch.tensor(other), torch.tensor(curves[0]), rtol=0, atol=2e-3)
