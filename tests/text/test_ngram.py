"""Losses of counting: by hand on a tiny text, and proper probabilities for every vocabulary."""

import math

import numpy as np
import pytest

from text.ngram import bigram_nats, uniform_nats, unigram_nats


def test_uniform() -> None:
    assert uniform_nats(65) == pytest.approx(4.174, abs=1e-3)


def test_unigram_by_hand() -> None:
    # c = 4, t = 2, V = 4: p(0) = (3 + 2/4) / 6, p(1) = (1 + 2/4) / 6, unseen (2/4) / 6
    train, val = np.array([0, 0, 0, 1]), np.array([3, 0, 1, 2])
    expected = -(math.log(3.5 / 6) + math.log(1.5 / 6) + math.log(0.5 / 6)) / 3
    assert unigram_nats(train, val, 4) == pytest.approx(expected)


def test_bigram_by_hand() -> None:
    # Pairs of 0 0 1 0: (0 0) (0 1) (1 0). After 0: c = 2, t = 2. After 1: c = 1, t = 1. Nothing follows 2.
    train = np.array([0, 0, 1, 0], dtype=np.uint16)
    p1 = {0: (3 + 2 / 3) / 6, 1: (1 + 2 / 3) / 6, 2: (2 / 3) / 6}
    expected = {
        (0, 1): (1 + 2 * p1[1]) / 4,
        (1, 0): (1 + 1 * p1[0]) / 2,
        (1, 2): (0 + 1 * p1[2]) / 2,
        (2, 2): p1[2],
    }
    for pair, probability in expected.items():
        assert bigram_nats(train, np.array(pair, dtype=np.uint16), 3) == pytest.approx(-math.log(probability))


@pytest.mark.parametrize("nats", [unigram_nats, bigram_nats])
def test_probabilities_sum_to_one(nats) -> None:
    train = np.random.default_rng(0).integers(0, 7, 40).astype(np.uint16)
    for first in range(9):
        total = sum(math.exp(-nats(train, np.array([first, second]), 9)) for second in range(9))
        assert total == pytest.approx(1)


def test_order_helps_where_there_is_order() -> None:
    tokens = np.tile(np.arange(5, dtype=np.uint16), 400)
    assert unigram_nats(tokens, tokens, 5) == pytest.approx(math.log(5), abs=1e-3)
    assert bigram_nats(tokens, tokens, 5) < 0.02


def test_large_vocabularies_do_not_overflow() -> None:
    tokens = np.array([4_000_000_000, 1, 4_000_000_000, 1], dtype=np.uint32) % 1_000_003
    assert 0 < bigram_nats(tokens, tokens, 1_000_003) < 3
