"""Each sampler against a plain reference on lists of floats, and the draw against the distribution it draws from."""

import dataclasses
import math
from collections import Counter
from random import Random

import pytest
import torch

from config.errors import CheckpointError, ConfigError
from generation.samplers import Chain, Greedy, Temperature, TopK, TopP, build_samplers, draw


def softmax(logits):
    top = max(logits)
    weights = [math.exp(logit - top) for logit in logits]
    return [weight / sum(weights) for weight in weights]


def kept_by_top_k(logits, k):
    return set(sorted(range(len(logits)), key=lambda token: -logits[token])[:k])


def kept_by_top_p(logits, p):
    probabilities = softmax(logits)
    kept, mass = set(), 0.0
    for token in sorted(range(len(logits)), key=lambda token: -probabilities[token]):
        if kept and mass >= p:
            break
        kept.add(token)
        mass += probabilities[token]
    return kept


def kept(logits):
    return [{token for token, logit in enumerate(row) if logit > -math.inf} for row in logits.tolist()]


def random_logits(batch, d_vocab, seed=0, scale=3.0):
    return torch.randn(batch, d_vocab, generator=torch.Generator().manual_seed(seed)) * scale


@pytest.mark.parametrize("temperature", [0.1, 0.8, 1.0, 2.5])
def test_temperature_sharpens_and_flattens(temperature):
    logits = random_logits(3, 50)
    for row, given in zip(Temperature(temperature)(logits).softmax(-1).tolist(), logits.tolist(), strict=True):
        assert row == pytest.approx(softmax([logit / temperature for logit in given]), abs=1e-6)


@pytest.mark.parametrize("k", [1, 2, 7, 49, 50, 51, 10_000])
def test_top_k_keeps_the_k_most_likely_unchanged(k):
    logits = random_logits(4, 50)
    result = TopK(k)(logits)
    assert kept(result) == [kept_by_top_k(row, k) for row in logits.tolist()]
    assert torch.equal(result[result > -math.inf], logits[result > -math.inf])


def test_top_k_keeps_all_tokens_that_are_equal_to_the_kth():
    assert kept(TopK(2)(torch.tensor([[1.0, 3.0, 1.0, 0.0]]))) == [{0, 1, 2}]


@pytest.mark.parametrize("p", [0.0, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("d_vocab", [2, 50, 1000])  # 1000: more than the candidates that are looked at first
@pytest.mark.parametrize("scale", [0.1, 3.0, 20.0])  # flat: nearly all are needed; steep: one is enough
def test_top_p_keeps_the_fewest_tokens_that_reach_p(p, d_vocab, scale):
    logits = random_logits(4, d_vocab, scale=scale)
    result = TopP(p)(logits)
    assert kept(result) == [kept_by_top_p(row, p) for row in logits.double().tolist()]
    assert torch.equal(result[result > -math.inf], logits[result > -math.inf])


@pytest.mark.parametrize("p", [0.0, 1e-9, 0.5])
def test_top_p_never_drops_the_first_token(p):
    assert kept(TopP(p)(torch.tensor([[0.0, 10.0, 0.0]]))) == [{1}]


def test_top_p_keeps_the_token_that_crosses_p_and_not_the_one_after():
    logits = torch.tensor([[0.5, 0.3, 0.2]]).log()
    assert kept(TopP(0.6)(logits)) == [{0, 1}]
    assert kept(TopP(0.45)(logits)) == [{0}]


def test_top_p_of_one_keeps_the_rarest_token():
    assert kept(TopP(1.0)(torch.tensor([[0.0, -40.0, -80.0]]))) == [{0, 1, 2}]


def test_greedy_keeps_the_most_likely_and_of_equals_the_first():
    assert kept(Greedy()(torch.tensor([[1.0, 5.0, 5.0], [2.0, 0.0, 1.0]]))) == [{1}, {0}]


def test_stages_apply_from_left_to_right():
    logits = torch.tensor([[0.4, 0.3, 0.2, 0.1]]).log()
    # Of the two that top-k leaves (4 : 3) the first has mass 0.57: top-p 0.5 drops the other. On its own it would not.
    assert kept(Chain((TopK(2), TopP(0.5)))(logits)) == [{0}]
    assert kept(Chain((TopP(0.5), TopK(2)))(logits)) == [{0, 1}]


@pytest.mark.parametrize("stage", [Temperature(0.5), TopK(2), TopP(0.5), Greedy(), build_samplers(0.5, 3, 0.5)])
def test_no_stage_changes_its_input(stage):
    logits = random_logits(2, 10)
    before = logits.clone()
    stage(logits)
    assert torch.equal(logits, before)


def test_the_order_is_printed():
    assert str(build_samplers(temperature=0.8, top_k=50, top_p=0.9)) == "temperature 0.8 → top-k 50 → top-p 0.9"
    assert str(build_samplers()) == "temperature 0.8 → top-p 0.9"
    assert str(build_samplers(temperature=1, top_k=0, top_p=1)) == "the model's own distribution"


@pytest.mark.parametrize("settings", [{"greedy": True}, {"temperature": 0}, {"temperature": 0.0, "top_k": 5}])
def test_greedy_stands_alone_and_temperature_zero_means_it(settings):
    assert build_samplers(**settings) == Chain((Greedy(),))


def test_all_wrong_settings_are_named_at_once():
    with pytest.raises(ConfigError) as caught:
        build_samplers(temperature=-1, top_k=-3, top_p=1.5)
    assert [problem.field for problem in caught.value.problems] == ["temperature", "top_k", "top_p"]
    assert all(value in str(caught.value) for value in ("-1", "-3", "1.5", "greedy"))


@pytest.mark.parametrize(
    ("kind", "value"),
    [(Temperature, 0.0), (Temperature, math.inf), (Temperature, math.nan), (TopK, 0), (TopP, -0.1), (TopP, math.nan)],
)
def test_a_stage_refuses_what_it_cannot_do(kind, value):
    with pytest.raises(ConfigError, match=str(value)):
        kind(value)


def test_stages_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        TopK(3).k = 4


# 99.9 % of chi-square values with this many degrees of freedom lie below.
CHI_SQUARE_LIMIT = {9: 27.88, 4: 18.47}


def chi_square(counts, probabilities, draws):
    expected = [probability * draws for probability in probabilities]
    return sum((counts[token] - mean) ** 2 / mean for token, mean in enumerate(expected) if mean > 0)


def test_draws_follow_the_distribution():
    logits, draws, random = random_logits(1, 10, scale=1.0), 20_000, Random(7)
    tokens = draw(logits.expand(draws, -1), [random.random() for _ in range(draws)])
    counts = Counter(tokens[:, 0].tolist())
    assert chi_square(counts, softmax(logits[0].tolist()), draws) < CHI_SQUARE_LIMIT[9]
    flatter = softmax((logits[0] / 1.1).tolist())  # the test must see as small a mistake as this
    assert chi_square(counts, flatter, draws) > CHI_SQUARE_LIMIT[9]


def test_draws_through_a_chain_follow_what_the_chain_leaves():
    logits, draws, random = random_logits(1, 10, seed=3, scale=1.0), 20_000, Random(8)
    narrowed = build_samplers(temperature=1.3, top_k=5, top_p=None)(logits)
    tokens = draw(narrowed.expand(draws, -1), [random.random() for _ in range(draws)])
    counts = Counter(tokens[:, 0].tolist())
    assert set(counts) == kept_by_top_k(logits[0].tolist(), 5)
    survivors = softmax(narrowed[0].tolist())
    assert chi_square(counts, survivors, draws) < CHI_SQUARE_LIMIT[4]


def test_each_row_is_drawn_with_its_own_number():
    logits = torch.tensor([[0.5, 0.5], [0.5, 0.5], [0.2, 0.8]]).log()
    assert draw(logits, [0.49, 0.51, 0.49]).tolist() == [[0], [1], [1]]


@pytest.mark.parametrize("d_vocab", [3, 5, 50_257])
def test_tokens_without_probability_are_never_drawn(d_vocab):
    logits = torch.full((2, d_vocab), -math.inf)
    logits[:, d_vocab // 2] = 1.0
    assert (
        draw(logits, [0.0, 1 - 2**-53]).tolist() == [[d_vocab // 2]] * 2
    )  # the smallest and largest numbers there are


@pytest.mark.parametrize("damage", [math.nan, math.inf])
def test_logits_that_are_not_finite_are_told(damage):
    logits = random_logits(1, 10)
    logits[0, 4] = damage
    with pytest.raises(CheckpointError, match="not finite"):
        draw(build_samplers()(logits), [0.5])
