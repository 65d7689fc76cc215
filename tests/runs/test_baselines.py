"""Losses to beat: read from a run, named as people name them, and overtaken."""

import pytest

from runs.baselines import baseline_title, overtaken, overtaken_sentence, read_baselines
from runs.files import write_json
from runs.folder import RunFolder

LOSSES = {"uniform_nats": 4.2, "ngram_2_nats": 2.5, "ngram_4_nats": 1.95, "gzip_nats": 1.2}


def rows(*losses: float) -> list[dict[str, float]]:
    return [{"step": 100.0 * place, "val_loss_nats": loss} for place, loss in enumerate(losses)]


def test_only_losses_are_read(run: RunFolder):
    assert read_baselines(run) == {}
    write_json(run.baselines_path, {"format": 1, "ngram_4_nats": 1.7, "seconds": 2.5, "xz_nats": float("nan")})
    assert read_baselines(run) == {"ngram_4_nats": 1.7}
    for content in ("[]", "{", '"nan"'):
        run.baselines_path.write_text(content)
        assert read_baselines(run) == {}


@pytest.mark.parametrize("key, title", [
    ("ngram_1_nats", "unigram"), ("ngram_2_nats", "bigram"), ("ngram_3_nats", "trigram"), ("ngram_6_nats", "6-gram"),
    ("gzip_nats", "gzip"), ("uniform_nats", "uniform"),
])  # fmt: skip
def test_titles(key, title):
    assert baseline_title(key) == title


def test_the_hardest_one_passed_counts_with_the_first_step_below_it():
    assert overtaken(LOSSES, rows(4.3, 2.2, 1.9, 2.0, 1.8)) == ("ngram_4_nats", 200)
    assert overtaken(LOSSES, rows(4.2, 4.3)) is None  # as good is not better
    assert overtaken(LOSSES, rows(4.1, 4.3)) is None  # nor is luck before the first step
    assert overtaken({}, rows(0.1)) is None and overtaken(LOSSES, []) is None
    assert overtaken(LOSSES, rows(float("nan"), 3.0)) == ("uniform_nats", 100)


@pytest.mark.parametrize("losses, sentence", [
    ((5.0,), ""),
    ((5.0, 3.0), "has overtaken uniform guessing at step 100"),
    ((5.0, 3.0, 2.4), "has overtaken a bigram at step 200"),
    ((1.9,) + 12 * (3.0,), "has overtaken uniform guessing at step 100"),
    ((*(12 * (3.0,)), 1.0), "has overtaken gzip at step 1,200"),
])  # fmt: skip
def test_the_sentence(losses, sentence):
    assert overtaken_sentence(LOSSES, rows(*losses)) == sentence
