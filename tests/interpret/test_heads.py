"""Scores of heads whose patterns are known by hand."""

import math

import pytest
import torch

from interpret.activations import hooked
from interpret.attention_patterns import attention_patterns
from interpret.head_scores import entropy_bits, head_scores, induction_scores, mean_at_offset, repeated_random_tokens


def written(pattern):
    """A hook that puts a pattern where every head had its own."""
    return lambda value: pattern(value.shape[-1]).expand_as(value)


def looking_back(offset):
    """A pattern that looks exactly so far back, and at the first token where there is none."""
    return lambda length: torch.eye(length)[(torch.arange(length) - offset).clamp(min=0)]


def uniform(length):
    return torch.ones(length, length).tril() / torch.arange(1, length + 1)[:, None]


def scores_of(model, text, **patterns):
    hooks = {f"blocks.{layer[-1]}.attn.hook_pattern": written(pattern) for layer, pattern in patterns.items()}
    with hooked(model, hooks):
        return head_scores(attention_patterns(model, text), induction_scores(model))


def test_every_score_finds_its_head_and_no_other(make_model, text):
    model = make_model(n_ctx=16, n_heads=2, d_head=12)
    # The random texts are two periods long: what comes after the last time stands one period − 1 back.
    found = scores_of(model, text, layer0=looking_back(1), layer1=lambda length: looking_back(length // 2 - 1)(length))
    previous, inducing = found[0], found[2]
    assert (previous.layer, previous.head, inducing.layer, inducing.head) == (0, 0, 1, 0)
    assert (previous.previous_token, previous.induction, previous.entropy_bits) == (1.0, 0.0, 0.0)
    assert previous.first_token == pytest.approx(0.1)  # query 1 alone: its previous token is the first
    assert (inducing.previous_token, inducing.induction) == (pytest.approx(0.1), 1.0)
    assert inducing.first_token == pytest.approx(0.4)  # queries 1 to 4 of 10


def test_always_looking_as_far_back_is_no_induction(make_model, text):
    found = scores_of(make_model(n_ctx=16), text, layer0=looking_back(7))  # right where the period is 8
    assert found[0].induction == 0.0


def test_looking_at_all_alike_is_chance(make_model, text):
    found = scores_of(make_model(), text, layer0=uniform, layer1=uniform)[0]
    rows = range(2, 12)
    assert found.entropy_bits == pytest.approx(sum(math.log2(row) for row in rows) / 10, rel=1e-5)
    assert found.previous_token == found.first_token == pytest.approx(sum(1 / row for row in rows) / 10, rel=1e-5)
    assert found.induction == pytest.approx(sum(1 / row for row in range(9, 17)) / 8, rel=1e-5)


def test_a_pattern_is_read_along_the_right_axis():
    pattern = torch.zeros(1, 4, 4)
    pattern[0, 3, 1] = 1.0
    assert mean_at_offset(pattern, 2).item() == 0.5  # queries 2 and 3 have a token two back
    assert entropy_bits(pattern).item() == 0.0


def test_what_cannot_be_measured_is_none(make_model):
    model = make_model(n_ctx=3)
    found = head_scores(attention_patterns(model, torch.tensor([4])), induction_scores(model))[0]
    assert (found.previous_token, found.first_token, found.entropy_bits, found.induction) == (None,) * 4
    assert induction_scores(make_model(n_ctx=8))[0].shape == (6,)


def test_random_texts_are_repeated_and_the_same_every_time():
    tokens = repeated_random_tokens(31, 8, 4, seed=0)
    assert torch.equal(tokens[:, :8], tokens[:, 8:]) and tokens.shape == (4, 16)
    assert torch.equal(tokens, repeated_random_tokens(31, 8, 4, seed=0))
    assert not torch.equal(tokens, repeated_random_tokens(31, 8, 4, seed=1))
