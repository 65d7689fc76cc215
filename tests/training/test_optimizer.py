"""Every optimizer against torch's own, step by step; flat buffers; state by name, in and out."""

import pytest
import torch
from torch import nn

from components.model import build_model
from config.errors import CheckpointError
from config.model_config import ModelConfig
from config.train_config import TrainConfig
from training.flat import FlatParameters, aligned, can_be_flat
from training.loss import model_loss
from training.optimizer import build_optimizer

# No bias on keys: softmax cancels it, so its gradient is rounding noise, which Adam turns into steps of full length.
CONFIG = ModelConfig(d_vocab=37, d_model=20, n_layers=2, n_heads=2, d_mlp=28, n_ctx=8, qkv_bias=False)
OPTIMIZERS = ("adamw", "adamw_plain", "muon", "sgd")
RECIPE = TrainConfig(lr=0.01, weight_decay=0.3, beta1=0.8, beta2=0.95)


def batches():
    generator = torch.Generator().manual_seed(2)
    while True:
        tokens = torch.randint(37, (3, 9), generator=generator)
        yield tokens[:, :-1], tokens[:, 1:]


def train(model, optimizer, steps, skip=0):
    """Steps with clipping at 0.5 and a rate that changes; the norms met on the way."""
    norms = []
    for step, (inputs, targets) in zip(range(steps), batches(), strict=False):
        if step < skip:
            continue
        model_loss(model, inputs, targets).backward()
        norms.append(optimizer.gradient_norm().item())
        optimizer.set_rate(0.01 / (step + 1))
        optimizer.step(max(1.0, norms[-1] / 0.5))
        optimizer.zero_grad()
    return norms


def reference(steps):
    """The same with torch alone: every parameter a tensor of its own, torch's clipping, torch's plain loop."""
    model = build_model(CONFIG, seed=3)
    groups = [
        {"params": [p for p in model.parameters() if p.dim() >= 2], "weight_decay": 0.3},
        {"params": [p for p in model.parameters() if p.dim() < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=0.01, betas=(0.8, 0.95), foreach=False, fused=False)
    for step, (inputs, targets) in zip(range(steps), batches(), strict=False):
        model_loss(model, inputs, targets).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        for group in optimizer.param_groups:
            group["lr"] = 0.01 / (step + 1)
        optimizer.step()
        optimizer.zero_grad()
    return model, optimizer


@pytest.mark.parametrize("name, flat", [("adamw", True), ("adamw", False), ("adamw_plain", None)])
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_adamw_in_three_forms_is_torchs_loop_step_by_step(name, flat, steps):
    expected, torchs = reference(steps)
    model = build_model(CONFIG, seed=3)
    optimizer = build_optimizer(model, RECIPE.replace(optimizer=name), flat=flat)
    train(model, optimizer, steps)
    state = optimizer.state_tensors()
    for (key, got), wanted in zip(model.named_parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(got, wanted, atol=2e-7, rtol=2e-5, msg=key)
        for moment in ("exp_avg", "exp_avg_sq", "step"):
            torch.testing.assert_close(state[f"{key}/{moment}"], torchs.state[wanted][moment], atol=1e-8, rtol=1e-4)


def test_sgd_by_hand():
    layer = nn.Linear(1, 1)
    nn.init.ones_(layer.weight)
    optimizer = build_optimizer(layer, TrainConfig(optimizer="sgd", lr=0.1, weight_decay=0.5, beta1=0.9))
    for expected in (1 - 0.1 * 2.5, 0.75 - 0.1 * (0.9 * 2.5 + 2 + 0.5 * 0.75)):  # momentum 2.5, then 0.9 of it
        layer.weight.grad, layer.bias.grad = torch.full((1, 1), 2.0), torch.zeros(1)
        optimizer.step()
        assert layer.weight.item() == pytest.approx(expected)


def test_muon_turns_the_matrices_of_the_blocks_and_adamw_the_rest():
    model = build_model(CONFIG, seed=3)
    recipe = RECIPE.replace(optimizer="muon", weight_decay=0.0)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = build_optimizer(model, recipe)
    train(model, optimizer, 1)
    state = optimizer.state_tensors()
    for name, parameter in model.named_parameters():
        is_muon = name.startswith("blocks.") and parameter.dim() == 2
        assert (f"{name}/momentum_buffer" in state, f"{name}/exp_avg" in state) == (is_muon, not is_muon)
        if is_muon:  # five Newton-Schulz steps bring every singular value of the update near 1, then 0.2 √(longer side)
            update = (parameter.detach() - before[name]) / (0.01 * 0.2 * max(parameter.shape) ** 0.5)
            values = torch.linalg.svdvals(update)
            assert values.max() < 1.3 and values.median() > 0.5


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_state_by_name_goes_into_a_new_optimizer_and_the_curve_goes_on_bit_for_bit(name):
    recipe = RECIPE.replace(optimizer=name)
    whole, first, second = (build_model(CONFIG, seed=seed) for seed in (3, 3, 4))
    train(whole, build_optimizer(whole, recipe), 6)
    optimizer = build_optimizer(first, recipe)
    assert optimizer.state_tensors() == {}
    train(first, optimizer, 3)
    saved = {key: value.clone() for key, value in optimizer.state_tensors().items()}
    assert all(tuple(value.shape) == optimizer.state_shapes()[key] for key, value in saved.items())
    resumed = build_optimizer(second, recipe)
    second.load_state_dict(first.state_dict())
    resumed.load_state_tensors(saved)
    train(second, resumed, 6, skip=3)
    assert all(torch.equal(one, two) for one, two in zip(whole.parameters(), second.parameters(), strict=True))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_incomplete_state_is_refused_and_an_empty_one_taken(name):
    recipe = RECIPE.replace(optimizer=name)
    model = build_model(CONFIG, seed=3)
    optimizer = build_optimizer(model, recipe)
    train(model, optimizer, 2)
    saved = optimizer.state_tensors()
    resumed = build_optimizer(build_model(CONFIG, seed=3), recipe)
    resumed.load_state_tensors({})
    for key in saved:
        with pytest.raises(CheckpointError, match=f"lacks {key}"):
            resumed.load_state_tensors({name: value for name, value in saved.items() if name != key})
    other = "exp_avg" if name == "sgd" else "momentum_buffer"
    with pytest.raises(CheckpointError, match=f"{other}, which this optimizer does not have"):
        resumed.load_state_tensors(saved | {f"final_norm.weight/{other}": torch.zeros(20)})
    if name != "sgd":
        with pytest.raises(CheckpointError, match="2 and 5 steps"):
            resumed.load_state_tensors(saved | {"final_norm.weight/step": torch.tensor(5.0)})
    assert resumed.state_tensors() == {}


def test_the_forms_of_adamw_take_each_others_state():
    """A run that began with ordinary tensors goes on in flat buffers; and the other way."""
    ends = []
    for forms in ((False, True), (True, False)):
        model = build_model(CONFIG, seed=3)
        optimizer = build_optimizer(model, RECIPE, flat=forms[0])
        train(model, optimizer, 3)
        other = build_model(CONFIG, seed=9)
        other.load_state_dict(model.state_dict())
        resumed = build_optimizer(other, RECIPE, flat=forms[1])
        resumed.load_state_tensors(optimizer.state_tensors())
        train(other, resumed, 6, skip=3)
        ends.append(torch.cat([p.flatten() for p in other.parameters()]))
    torch.testing.assert_close(ends[0], ends[1], atol=1e-6, rtol=1e-5)


def test_a_flat_model_has_its_values_names_and_aligned_windows():
    model, plain = build_model(CONFIG, seed=3), build_model(CONFIG, seed=3)
    build_optimizer(model, RECIPE)
    for (name, got), wanted in zip(model.named_parameters(), plain.parameters(), strict=True):
        assert torch.equal(got, wanted) and got.is_contiguous(), name
    storages = {p.untyped_storage().data_ptr() for p in model.parameters()}
    assert len(storages) == 1
    assert all(p.storage_offset() % 16 == 0 and p.grad.storage_offset() % 16 == 0 for p in model.parameters())
    assert [aligned(n) for n in (1, 16, 17)] == [16, 16, 32]


def test_the_flat_norm_is_the_norm_of_all_gradients():
    one, two = build_model(CONFIG, seed=3), build_model(CONFIG, seed=3)
    flat, plain = build_optimizer(one, RECIPE, flat=True), build_optimizer(two, RECIPE, flat=False)
    assert train(one, flat, 4) == pytest.approx(train(two, plain, 4), rel=1e-5)


def test_a_gradient_that_left_the_buffer_is_noticed():
    model = build_model(CONFIG, seed=3)
    optimizer = build_optimizer(model, RECIPE)
    model.zero_grad()  # sets them to None
    with pytest.raises(AssertionError, match="left the flat buffer"):
        optimizer.gradient_norm()


def test_a_part_of_a_model_is_trained_alone_with_ordinary_tensors():
    model = build_model(CONFIG, seed=3)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("attention" in name)
    assert not can_be_flat(model)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = build_optimizer(model, RECIPE)
    train(model, optimizer, 2)
    changed = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert changed == {name for name in before if "attention" in name}
    assert {key.rpartition("/")[0] for key in optimizer.state_tensors()} == changed


def test_flat_groups_are_pieces_of_one_gradient():
    parameters = [nn.Parameter(torch.ones(3, 5)), nn.Parameter(torch.ones(7)), nn.Parameter(torch.ones(2))]
    flat = FlatParameters([parameters[:1], parameters[1:]])
    assert [len(group) for group in flat.groups] == [16, 32] and len(flat.gradient) == 1024
    (parameters[0].sum() + 2 * parameters[2].sum()).backward()
    assert flat.gradient.sum() == 15 + 4 and flat.groups[1].grad.sum() == 4
    assert flat.gradient_norm().item() == pytest.approx((15 + 2 * 2**2) ** 0.5)
