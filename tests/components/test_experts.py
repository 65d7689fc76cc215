"""Mixture of experts: the usual mistakes, each with the property that catches it, and the routers of `transformers`."""

import pytest
import torch
from torch import Tensor, nn

from components.balance import BIAS_STEP, RoutingRecord, move_selection_biases
from components.capacity import room, within_capacity
from components.model import build_model
from components.registry import resolve
from components.router import Choice
from config.sizes import count_parameters
from tests.components.conftest import spread_parameters

every_implementation = pytest.mark.parametrize("implementation", ["einops", "torch", "fused"])
close = torch.testing.assert_close
MIXTURE = {"n_experts": 6, "experts_per_token": 2, "d_expert": 12, "mlp": "swiglu"}


@pytest.fixture
def mixture(small_config):
    """A mixture of experts alone, in eval mode, its parameters spread."""

    def build(implementation: str = "fused", **changes: object) -> nn.Module:
        module = resolve("experts", "mixture", implementation)(small_config(**{**MIXTURE, **changes})).eval()
        spread_parameters(module)
        return module

    return build


def make_equal(module: nn.Module) -> None:
    for expert in module.experts:
        expert.load_state_dict(module.experts[0].state_dict())


@every_implementation
@pytest.mark.parametrize("router", ["softmax", "sigmoid"])
def test_equal_experts_whose_weights_sum_to_1_are_one_mlp(router: str, implementation: str, mixture) -> None:
    module = mixture(implementation, router=router, router_scale=1.5)
    make_equal(module)
    x = torch.randn(2, 5, 24)
    close(module(x), 1.5 * module.experts[0](x), atol=1e-5, rtol=1e-5)


@every_implementation
def test_all_experts_chosen_is_the_sum_over_all_by_their_scores(implementation: str, mixture) -> None:
    module = mixture(implementation, experts_per_token=6, router_renormalize=False)
    x = torch.randn(2, 5, 24)
    scores = module.router.score_proj(x).softmax(dim=-1)
    said = torch.stack([expert(x) for expert in module.experts], dim=-1)  # [batch pos d_model expert]
    close(module(x), (said * scores[:, :, None]).sum(dim=-1), atol=1e-5, rtol=1e-5)


@every_implementation
@pytest.mark.parametrize("router", ["softmax", "sigmoid"])
def test_weights_are_scores_and_sum_to_the_scale_only_where_asked(router: str, implementation: str, mixture) -> None:
    x = torch.randn(2, 5, 24)
    choice = mixture(implementation, router=router, router_scale=2.5).router(x)
    close(choice.weights.sum(dim=-1), torch.full((2, 5), 2.5))
    choice = mixture(implementation, router=router, router_scale=2.5, router_renormalize=False).router(x)
    close(choice.weights, 2.5 * choice.scores.gather(-1, choice.experts))
    close(choice.scores.topk(2).indices, choice.experts)


@every_implementation
def test_tokens_in_another_order_get_the_same(implementation: str, mixture) -> None:
    module, x = mixture(implementation), torch.randn(2, 7, 24)
    order = torch.randperm(7)
    close(module(x)[:, order], module(x[:, order]), atol=1e-5, rtol=1e-5)
    close(module(x).flip(0), module(x.flip(0)), atol=1e-5, rtol=1e-5)
    close(module(x)[1:, 3:4], module(x[1:, 3:4]), atol=1e-5, rtol=1e-5)  # one token alone


@every_implementation
def test_the_selection_bias_chooses_and_never_weighs(implementation: str, mixture) -> None:
    module, x = mixture(implementation, router_selection_bias=True, router="sigmoid"), torch.randn(2, 5, 24)
    router = module.router
    router.selection_bias.zero_()
    before = router(x)
    router.selection_bias += 3.0  # for all alike: nobody is preferred
    after = router(x)
    assert torch.equal(after.experts, before.experts) and torch.equal(after.weights, before.weights)
    router.selection_bias[4] += 3.0
    forced = router(x)
    assert (forced.experts[..., 0] == 4).all()
    raw = forced.scores.gather(-1, forced.experts)
    close(forced.weights, raw / raw.sum(dim=-1, keepdim=True))
    assert torch.equal(forced.scores, before.scores)
    assert "selection_bias" not in dict(router.named_parameters()) and "selection_bias" in router.state_dict()


@pytest.mark.parametrize(("router", "chosen"), [("softmax", 0), ("sigmoid", 2)])
def test_a_group_is_as_good_as_its_best_or_its_best_two(router: str, chosen: int, mixture) -> None:
    module = mixture(router=router, expert_groups=3, groups_per_token=1, router_bias=True, experts_per_token=1)
    with torch.no_grad():
        module.router.score_proj.weight.zero_()
        module.router.score_proj.bias.copy_(torch.tensor([3.0, -9.0, 2.0, 1.9, -9.0, -9.0]))
    assert module.router(torch.zeros(1, 1, 24)).experts.item() == chosen


def test_only_experts_of_the_visited_groups_are_chosen(mixture) -> None:
    module = mixture(n_experts=8, expert_groups=4, groups_per_token=2, experts_per_token=3, router="sigmoid")
    experts = module.router(torch.randn(4, 20, 24)).experts
    visited = [len(set((row // 2).tolist())) for row in experts.flatten(0, 1)]
    assert max(visited) == 2  # three experts of four groups of two


@every_implementation
def test_shared_experts_see_every_token_and_their_gate_is_a_sigmoid(implementation: str, mixture) -> None:
    plain, x = mixture(implementation, n_shared_experts=2), torch.randn(2, 5, 24)
    assert plain.shared_expert.up_proj.weight.shape == (24, 24)  # two of width 12 as one
    assert plain.shared_gate is None
    routed = plain(x) - plain.shared_expert(x)
    with torch.no_grad():
        for parameter in plain.shared_expert.parameters():
            parameter.zero_()
    close(plain(x), routed, atol=1e-5, rtol=1e-5)
    gated = mixture(implementation, n_shared_experts=2, shared_expert_gate=True)
    whole = gated(x)
    shared = torch.sigmoid(gated.shared_gate(x)) * gated.shared_expert(x)
    gated.shared_expert = None
    close(whole - gated(x), shared, atol=1e-4, rtol=1e-4)


def choice_of(scores: Tensor, experts: Tensor) -> Choice:
    return Choice(scores, experts, scores.gather(-1, experts))


def test_the_penalty_is_k_at_perfect_balance_and_e_when_all_want_the_same() -> None:
    even = torch.arange(8).view(1, 4, 2)  # 4 tokens, each visits 2 of 8 experts, every expert once
    record = RoutingRecord()
    record.add(choice_of(torch.full((1, 4, 8), 1 / 8), even))
    close(record.penalty, torch.tensor(2.0))
    record.add(choice_of(nn.functional.one_hot(torch.zeros(1, 4, dtype=torch.long), 8).float(), even * 0))
    close(record.penalty, torch.tensor((2.0 + 16.0) / 2))  # the mean over the layers: E · 2 visits · 1
    sigmoids = RoutingRecord()
    sigmoids.add(choice_of(torch.full((1, 4, 8), 0.9), even))  # scores that do not sum to 1 count by their shares
    close(sigmoids.penalty, torch.tensor(2.0))
    assert record.sums[0, :8].tolist() == [1.0] * 8 and record.sums[1, 0] == 8
    close(record.sums[:, 9], torch.tensor([4 * torch.tensor(8.0).log().item(), 0.0]))  # entropy of 4 tokens


def test_places_that_nobody_needed_are_left_out_of_every_sum() -> None:
    scores = torch.rand(2, 4, 6, generator=torch.Generator().manual_seed(0)).softmax(dim=-1)
    experts, kept = scores.topk(2).indices, torch.tensor([[True, False]] * 8).view(2, 4, 2)
    padded, short = RoutingRecord(torch.arange(4).lt(3).expand(2, 4)), RoutingRecord()
    for record, end in ((padded, 4), (short, 3)):
        record.add(choice_of(scores[:, :end], experts[:, :end])._replace(kept=kept[:, :end]))
    close(padded.sums, short.sums)
    close(padded.penalty, short.penalty)
    assert short.sums[0, 6] == 6  # turned away


def test_the_penalty_pushes_down_the_scores_of_crowded_experts() -> None:
    logits = torch.zeros(1, 6, 4, requires_grad=True)
    record = RoutingRecord()
    record.add(choice_of(logits.softmax(dim=-1), torch.tensor([0, 0, 0, 0, 1, 2]).view(1, 6, 1)))
    record.penalty.backward()
    by_expert = logits.grad.sum(dim=(0, 1))
    assert by_expert[0] > by_expert[1] > by_expert[3] and by_expert[0] > 0 > by_expert[3]


def test_selection_biases_move_towards_the_mean_by_one_step(small_config) -> None:
    model = build_model(small_config(**MIXTURE, router_selection_bias=True, moe_pattern="dm"), seed=1)
    router = model.blocks[1].mlp.router
    move_selection_biases(model, torch.tensor([[6.0, 2, 4, 4, 8, 0, 0, 0, 0]]))
    close(router.selection_bias, BIAS_STEP * torch.tensor([-1.0, 1, 0, 0, -1, 1]))


def test_a_record_hears_only_the_layers_with_experts(small_config, tokens) -> None:
    model = build_model(small_config(**MIXTURE, moe_pattern="dm"), seed=1)
    record = RoutingRecord()
    close(model(tokens, record=record), model(tokens), atol=0, rtol=0)
    assert record.sums.shape == (1, 6 + 3) and record.sums[0, :6].sum() == tokens.numel() * 2
    dense = RoutingRecord()
    build_model(small_config(), seed=1)(tokens, record=dense)
    with pytest.raises(RuntimeError):  # nothing to stack
        _ = dense.sums


def test_room_is_rounded_up_and_never_nothing() -> None:
    assert [room(24, 8, 1.0), room(25, 8, 1.0), room(2, 8, 0.1), room(24, 8, 1.25)] == [3, 4, 1, 4]


def test_who_comes_first_is_served_first() -> None:
    experts = torch.tensor([[[0, 1], [0, 2]], [[0, 1], [1, 0]]])
    kept = within_capacity(experts, 4, 1.0)  # room for ⌈8 / 4⌉ = 2
    assert kept.tolist() == [[[True, True], [True, True]], [[False, True], [False, False]]]


@every_implementation
def test_visits_to_a_full_expert_do_not_take_place_in_training_only(implementation: str, mixture) -> None:
    module, x = mixture(implementation, expert_capacity=0.5), torch.randn(2, 9, 24)
    free = mixture(implementation)
    close(module(x), free(x), atol=0, rtol=0)  # eval
    module.train()
    choice = module.router(x)
    assert 0.3 < (~choice.kept).float().mean() < 1.0
    assert (choice.weights[~choice.kept] == 0).all() and (choice.weights[choice.kept] > 0).all()
    close(module(x)[~choice.kept.any(dim=-1)], torch.zeros(()).expand(int((~choice.kept.any(dim=-1)).sum()), 24))
    record = RoutingRecord()
    module(x, record)
    assert record.sums[0, 6] == (~choice.kept).sum() and record.sums[0, :6].sum() == 36
    later = x.clone()
    later[1, 5:] = torch.randn(4, 24)  # what comes later in the batch takes nobody's place
    close(module(later)[1, :5], module(x)[1, :5], atol=1e-6, rtol=1e-6)


@every_implementation
def test_an_expert_that_nobody_chose_has_a_gradient_of_zeros(implementation: str, mixture) -> None:
    module = mixture(implementation, router_selection_bias=True).train()
    module.router.selection_bias.copy_(torch.tensor([9.0, 9, 0, 0, 0, 0]))
    module(torch.randn(1, 4, 24)).sum().backward()
    assert all(parameter.grad is not None for parameter in module.parameters())
    assert module.experts[5].up_proj.weight.grad.abs().max() == 0 < module.experts[0].up_proj.weight.grad.abs().max()
    assert module.router.score_proj.weight.grad.abs().max() > 0


@every_implementation
def test_scores_are_float32_under_autocast_and_in_bfloat16(implementation: str, mixture) -> None:
    module, x = mixture(implementation, router_bias=True), torch.randn(1, 4, 24)
    with torch.autocast("cpu", torch.bfloat16):
        close(module.router(x).scores, module.router(x).scores.float(), atol=0, rtol=0)
        inside = module.router(x).scores
    assert inside.dtype == torch.float32
    close(inside, module.router(x).scores, atol=0, rtol=0)
    small = module.bfloat16()
    assert small(x.bfloat16()).dtype == torch.bfloat16


@pytest.mark.parametrize("changes", [
    {}, {"moe_pattern": "dm"}, {"n_shared_experts": 2, "shared_expert_gate": True, "mlp": "gelu"},
    {"router_bias": True, "router_selection_bias": True, "router": "sigmoid", "mlp_bias": False},
], ids=str)  # fmt: skip
def test_parameters_are_those_that_were_computed(changes: dict, small_config) -> None:
    config = small_config(**{**MIXTURE, **changes})
    model = build_model(config, seed=1)
    assert sum(parameter.numel() for parameter in model.parameters()) == count_parameters(config)


def test_initial_values_of_experts_are_those_of_an_mlp(small_config) -> None:
    config = small_config(**MIXTURE | {"d_expert": 256}, n_shared_experts=1, n_layers=8)
    block = build_model(config, seed=2).blocks[0].mlp
    for mlp in (block.experts[3], block.shared_expert):
        assert mlp.down_proj.weight.std().item() == pytest.approx(0.02 / 4, rel=0.05)
        assert mlp.up_proj.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert block.router.score_proj.weight.std().item() == pytest.approx(0.02, rel=0.2)
    assert not torch.equal(block.experts[0].up_proj.weight, block.experts[1].up_proj.weight)
