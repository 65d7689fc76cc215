"""Losses of counting: by hand on a tiny text, proper probabilities, and the known values of tiny Shakespeare."""

import math
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from text.ngram import ngram_nats, ngram_probabilities, uniform_nats

ROOT = Path(__file__).parents[2]
SHAKESPEARE = [
    Path(os.environ.get("TINY_SHAKESPEARE", "tinyshakespeare.txt")),
    ROOT / "shared/data/tinyshakespeare.txt",
    ROOT.parent / "shared/data/tinyshakespeare.txt",
]


def probability(train: list[int], context: list[int], token: int, d_vocab: int, order: int) -> float:
    """What the model of this order gives to `token` after `context`, which is as long as the order asks for."""
    val = np.array([*context, token], dtype=np.uint16)
    return float(ngram_probabilities(np.array(train, dtype=np.uint16), val, d_vocab, order)[order - 1][-1])


def test_uniform() -> None:
    assert uniform_nats(65) == pytest.approx(4.174, abs=1e-3)


def test_unigram_by_hand() -> None:
    # Counts 3 1 1 2: twice a 1, once a 2, so the discount of a 1 is 2 / (2 + 2 * 1) = 1/2; no 4s and one 3:
    # that of a 2 is 2 - 3 * 1/2 * 1/1 = 1/2, that of a 3 is 3 - 4 * 1/2 * 0/1 = 3. All together 4.5 of 7 are free.
    train = [0, 0, 0, 1, 2, 3, 3]
    free = 3 + 0.5 + 0.5 + 0.5
    for token, kept in ((0, 0), (1, 0.5), (2, 0.5), (3, 1.5), (4, 0)):
        assert probability(train, [], token, 5, 1) == pytest.approx((kept + free / 5) / 7)


def test_bigram_by_hand() -> None:
    # Pairs of 0 1 0 2 0 1: (0 1) twice, (1 0), (0 2), (2 0) once: ones = 3, twos = 1, no threes.
    # A 1 gives 3 / (3 + 2) = 0.6, a 2 gives 2 - 3 * 0.6 * 0 = 2.
    train = [0, 1, 0, 2, 0, 1]
    # Below: 0 stands behind 2 different tokens, 1 and 2 behind one each. Kinds 2 1 1: ones = 2, twos = 1, no threes:
    # a 1 gives 2 / (2 + 2) = 0.5, a 2 gives 2. Free: 2 + 0.5 + 0.5 = 3 of 4, spread over V = 4.
    below = {0: (0 + 3 / 4) / 4, 1: (0.5 + 3 / 4) / 4, 2: (0.5 + 3 / 4) / 4, 3: (3 / 4) / 4}
    assert sum(below.values()) == pytest.approx(1)
    for token, kept in ((0, 0), (1, 0), (2, 0.4), (3, 0)):  # after 0: 1 twice, 2 once
        assert probability(train, [0], token, 4, 2) == pytest.approx((kept + 2.6 * below[token]) / 3)
    assert probability(train, [1], 0, 4, 2) == pytest.approx(0.4 + 0.6 * below[0])
    assert probability(train, [3], 1, 4, 2) == pytest.approx(below[1])  # nothing ever followed a 3


def reference(train: list[int], context: tuple[int, ...], token: int, d_vocab: int, top: bool = True) -> float:
    """Modified Kneser-Ney as the paper writes it, one probability at a time, with dictionaries."""
    order = len(context) + 1
    grams = [tuple(train[at : at + order]) for at in range(len(train) - order + 1)]
    if top:
        counts = Counter(grams)
    else:
        counts = Counter(gram[1:] for gram in {tuple(train[at : at + order + 1]) for at in range(len(train) - order)})
    occurring = Counter(counts.values())
    ones, twos, threes, fours = (occurring[n] for n in (1, 2, 3, 4))
    discount = {1: 0.5, 2: 0.5, 3: 0.5}
    if ones and twos:
        share = ones / (ones + 2 * twos)
        discount = {1: share, 2: max(0.05, 2 - 3 * share * threes / twos)}
        discount[3] = max(0.05, 3 - 4 * share * fours / threes) if threes else 0.5
    followers = {gram[-1]: count for gram, count in counts.items() if gram[:-1] == context}
    lower = reference(train, context[1:], token, d_vocab, top=False) if context else 1 / d_vocab
    if not followers:
        return lower
    kept = followers[token] - discount[min(3, followers[token])] if token in followers else 0
    free = sum(discount[min(3, count)] for count in followers.values())
    return (kept + free * lower) / sum(followers.values())


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("seed", range(6))
def test_every_order_is_the_paper_s_formula(order: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    train = random.integers(0, 5, 90).tolist()
    for _ in range(20):
        *context, token = random.integers(0, 6, order).tolist()
        expected = reference(train, tuple(context), token, 7)
        assert probability(train, context, token, 7, order) == pytest.approx(expected)


@pytest.mark.parametrize("order", [1, 2, 3, 6])
@pytest.mark.parametrize("kinds", [2, 7, 40])
def test_probabilities_sum_to_one_after_every_context(order: int, kinds: int) -> None:
    random = np.random.default_rng(order * kinds)
    train = random.integers(0, kinds, 300).tolist()
    start = int(random.integers(0, 290))
    for context in (train[start : start + order - 1], random.integers(0, kinds + 2, order - 1).tolist()):
        each = [probability(train, context, token, kinds + 2, order) for token in range(kinds + 2)]
        assert sum(each) == pytest.approx(1) and min(each) > 0


def test_a_model_without_anything_to_learn_from_is_uniform() -> None:
    tokens = np.random.default_rng(0).integers(0, 16, 60_000)
    train, val = tokens[:50_000], tokens[50_000:]
    assert ngram_nats(train, val, 16, 3) == pytest.approx([math.log(16)] * 3, abs=0.05)


def test_order_helps_where_there_is_order() -> None:
    tokens = np.tile(np.arange(5, dtype=np.uint16), 400)
    unigram, bigram = ngram_nats(tokens, tokens, 5, 2)
    assert unigram == pytest.approx(math.log(5), abs=1e-3) and bigram < 0.02


def test_all_orders_score_every_token_but_the_first() -> None:
    train, val = np.array([0, 1, 2, 0, 1, 2, 1]), np.array([2, 0, 1, 1])
    for order, model in enumerate(ngram_probabilities(train, val, 3, 4), start=1):
        assert len(model) == len(val)
        assert ngram_nats(train, val, 3, 4)[order - 1] == pytest.approx(-np.log(model[1:]).mean())


def test_large_vocabularies_do_not_overflow() -> None:
    tokens = np.tile(np.array([4_000_000_000, 1], dtype=np.uint32) % 1_000_003, 100)
    unigram, *longer = ngram_nats(tokens, tokens, 1_000_003, 6)
    assert unigram == pytest.approx(math.log(2), abs=0.2)
    assert all(nats < 0.2 for nats in longer)


def test_tiny_shakespeare_has_its_known_values() -> None:
    path = next((path for path in SHAKESPEARE if path.is_file()), None)
    if path is None:
        pytest.skip("tiny Shakespeare is not here: set TINY_SHAKESPEARE to the file")
    text = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    characters, tokens = np.unique(text, return_inverse=True)
    border = len(tokens) * 9 // 10
    found = ngram_nats(tokens[:border], tokens[border:], len(characters), 6)
    assert found == pytest.approx([3.3473, 2.4835, 2.0381, 1.7191, 1.5612, 1.5226], abs=1e-3)
    simpler_smoothing = (3.347, 2.486, 2.049, 1.774, 1.669, 1.698)
    assert all(mine < known + 0.02 for mine, known in zip(found, simpler_smoothing, strict=True))
