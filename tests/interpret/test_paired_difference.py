"""Is it real? The interval of a paired difference, held to what it promises on losses of which the truth is known.

The null that is tested: two given models that are equally good on endless text of this kind. Then a difference is
called in at most 5 % of texts. Losses are made up with what real ones have: neighbours that are alike, rare large
values. What real models and seeds add is in tests/interpret/test_real_differences.py.
"""

import math

import numpy as np
import pytest

from config.errors import TextError
from interpret.over_seeds import over_seeds, student_quantile
from interpret.paired_difference import block_lengths, paired_difference
from interpret.token_losses import per_byte
from text.byte import ByteTokenizer
from text.tokenizer_types import train_tokenizer


def alike(rng: np.random.Generator, count: int, memory: float, heavy: bool) -> np.ndarray:
    """Noise of mean 0 in which each value remembers the ones before it."""
    noise = rng.standard_t(3, count + 600) if heavy else rng.standard_normal(count + 600)
    return np.convolve(noise, memory ** np.arange(600))[600 : count + 600]


def false_alarms(texts: int, count: int, memory: float, heavy: bool, seed: int) -> float:
    """Share of texts for which two equally good models are called different."""
    rng = np.random.default_rng(seed)
    called = 0
    for _ in range(texts):
        shared = rng.exponential(2.0, count)  # what makes a token hard for both
        called += paired_difference(shared, shared + alike(rng, count, memory, heavy)).real
    return called / texts


@pytest.mark.parametrize(("memory", "heavy"), [(0.0, False), (0.5, True), (0.9, False)])
def test_equal_models_are_rarely_called_different(memory, heavy):
    assert false_alarms(120, 6_000, memory, heavy, seed=1) <= 0.05


@pytest.mark.slow
@pytest.mark.parametrize("count", [3_000, 20_000, 100_000])
@pytest.mark.parametrize("heavy", [False, True])
@pytest.mark.parametrize("memory", [0.0, 0.5, 0.9, 0.95])
def test_equal_models_are_called_different_in_at_most_five_percent(memory, heavy, count):
    assert false_alarms(600, count, memory, heavy, seed=2) <= 0.05


def test_tokens_taken_for_independent_would_fail_that_test():
    """The same noise judged by an interval that knows nothing of blocks: why the bootstrap is not over tokens."""
    rng = np.random.default_rng(3)
    called = 0
    for _ in range(120):
        noise = alike(rng, 6_000, 0.9, heavy=False)
        called += abs(noise.mean()) > 2.58 * noise.std() / math.sqrt(noise.size)
    assert called / 120 > 0.3


def test_a_difference_that_is_there_is_found_and_has_its_sign_and_size():
    rng = np.random.default_rng(4)
    shared = rng.exponential(2.0, 20_000)
    worse = shared + 0.05 + alike(rng, 20_000, 0.5, heavy=False) * 0.2
    found = paired_difference(shared, worse)
    assert found.real and found.low < 0.05 < found.high and found.high - found.low < 0.05
    back = paired_difference(worse, shared)
    assert (back.mean, back.real) == (-found.mean, True) and back.high < 0
    sentence = f"A is better than B: it pays {found.mean:.4f} nats per token less on these 20,000 tokens"
    assert sentence in found.sentence("A", "B") and sentence in back.sentence("B", "A")
    assert found == paired_difference(shared, worse) != paired_difference(shared, worse, seed=1)


def test_the_verdict_is_one_plain_sentence():
    rng = np.random.default_rng(5)
    shared = rng.exponential(2.0, 5_000)
    same = paired_difference(shared, shared)
    assert same.sentence("A", "B") == "A and B predict these 5,000 tokens exactly alike." and not same.real
    noise = alike(rng, 5_000, 0.0, heavy=False)
    sentence = paired_difference(shared, shared + noise - noise.mean() + 1e-3, "bits per byte").sentence("A", "B")
    assert sentence.startswith(
        "No difference can be told: B pays 0.0010 bits per byte more than A on these 5,000 bytes"
    )
    assert sentence.count(". ") == 0 and sentence.endswith("(99% interval).")


def test_the_longest_correlation_that_matters_sets_the_block():
    rng = np.random.default_rng(6)
    zeros = np.zeros(20_000)
    slow = np.repeat(rng.standard_normal(20), 1_000)  # whole passages on which one model is better
    assert paired_difference(zeros, slow).block >= 512
    assert paired_difference(zeros, rng.standard_normal(20_000)).high < 0.1


@pytest.mark.parametrize("count", [0, 1, 639])
def test_too_few_tokens_are_refused(count):
    with pytest.raises(TextError, match=f"{count:,} tokens are too few .* at least 640"):
        paired_difference(np.zeros(count), np.zeros(count))
    with pytest.raises(TextError, match="not of the same text"):
        paired_difference(np.zeros(1_000), np.zeros(1_001))


@pytest.mark.parametrize("count", [640, 10_000, 1_000_000])
def test_every_block_length_fits_often_enough(count):
    lengths = block_lengths(count)
    assert lengths and all(20 <= count // length <= 2_000 for length in lengths)


# --- losses of bytes ----------------------------------------------------------------------------------------------


def test_losses_spread_over_bytes_keep_their_sum_and_their_place():
    text = "the cat, the cap, the café " * 40
    tokenizer = train_tokenizer("bpe", text, 264, val_fraction=0.0)
    tokens = tokenizer.encode_array(text)
    losses = np.linspace(0.1, 3.0, len(tokens))
    spread = per_byte(losses, tokens, tokenizer)
    assert spread.shape == (len(text.encode()),)
    assert spread.sum() == pytest.approx(losses.sum() / math.log(2))
    first = len(tokenizer.token_bytes[int(tokens[0])])
    assert spread[:first] == pytest.approx([losses[0] / math.log(2) / first] * first)
    plain = ByteTokenizer()
    assert per_byte(losses[:5], np.arange(5), plain) == pytest.approx(losses[:5] / math.log(2))


def test_a_token_without_bytes_is_paid_for_by_its_neighbour():
    class Empty:
        token_bytes = (b"", b"ab", b"c")

    spread = per_byte(np.array([1.0, 2.0, 4.0, 8.0]), np.array([0, 1, 0, 2]), Empty())
    assert spread * math.log(2) == pytest.approx([2.0, 1.0 + 4.0, 8.0])


# --- seeds --------------------------------------------------------------------------------------------------------


def test_quantiles_are_those_of_the_tables():
    for freedom, quantile in ((1, 12.706), (2, 4.303), (5, 2.571), (10, 2.228), (1_000, 1.962)):
        assert student_quantile(0.975, freedom) == pytest.approx(quantile, abs=0.001)
    assert student_quantile(0.5, 3) == 0.0


@pytest.mark.parametrize("counts", [(2, 2), (3, 3), (2, 6), (5, 5)])
def test_seeds_of_one_configuration_are_rarely_called_different(counts):
    rng = np.random.default_rng(7)
    called = [over_seeds(*(rng.normal(2.0, 0.05, count) for count in counts)).real for _ in range(1_000)]
    assert np.mean(called) <= 0.064  # 5 %, and two standard errors of a thousand trials


def test_configurations_that_differ_more_than_their_seeds_are_told_apart():
    found = over_seeds([2.00, 2.02, 1.98], [1.80, 1.83, 1.81])
    assert found.real and found.sentence("A", "B").startswith("B is better over 3 seeds of the one and 3 of the other")
    same = over_seeds([2.00, 2.02], [2.01, 1.99])
    assert (
        not same.real and same.low < 0 < same.high and same.sentence("A", "B").startswith("No difference can be told")
    )
    assert over_seeds([2.0, 2.0], [1.0, 1.0]).real
    with pytest.raises(TextError, match="at least two runs"):
        over_seeds([1.0], [2.0, 3.0])
