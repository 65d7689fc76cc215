"""Evaluation: what is scored, how it is added up, and bits per byte worked out by hand."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn

from components.model import build_model
from config.model_config import ModelConfig
from config.train_config import TrainConfig
from text.batches import Windows, get_batch
from text.tokenizer import END_OF_TEXT
from text.tokenizer_types import train_tokenizer
from training.distributed import ALONE
from training.evaluate import Evaluator, Score
from training.loss import next_token_loss
from training.precision import autocast
from training.prepare import PreparedText
from training.validation import Validation

TEXT = "Ärger über die Größe: naïve café, 100 € für ein Stück Käse.\n" * 20
CHARACTERS = train_tokenizer("character", TEXT, 0)
BYTE_PAIRS = train_tokenizer("bpe", TEXT, 270)


def evaluator(tokens=None, tokenizer=CHARACTERS, batch_size=4, n_ctx=8):
    tokens = tokenizer.encode_array(TEXT) if tokens is None else tokens
    precision = autocast(torch.device("cpu"), torch.float32)
    return Evaluator(Windows(tokens, n_ctx), tokenizer, batch_size=batch_size, seed=5, precision=precision)


class Table(nn.Module):
    """A bigram model: logits that depend on the last token alone, so that no cut of the text changes its loss."""

    def __init__(self, d_vocab: int):
        super().__init__()
        self.logits = nn.Parameter(torch.randn(d_vocab, d_vocab, generator=torch.Generator().manual_seed(0)))

    def forward(self, tokens):
        return self.logits[tokens]


def paid(model: Table, tokens: np.ndarray) -> float:
    """Nats of every token but the first, one after another."""
    logs = model.logits.log_softmax(-1)
    return -sum(logs[first, second].item() for first, second in itertools.pairwise(tokens))


def test_bits_per_byte_by_hand():
    score = Score(nats=100 * math.log(2), tokens=50, text_bytes=80)
    assert score.loss_nats == pytest.approx(2 * math.log(2)) and score.bits_per_byte == pytest.approx(100 / 80)
    assert math.isnan(Score(nats=1.0, tokens=1, text_bytes=0).bits_per_byte)


@pytest.mark.parametrize("n_ctx, batch_size", [(1, 64), (7, 3), (8, 4), (100, 2), (len(TEXT) - 1, 1)])
@pytest.mark.parametrize("tokenizer", [CHARACTERS, BYTE_PAIRS])
def test_the_whole_split_is_scored_the_same_however_it_is_cut(tokenizer, n_ctx, batch_size):
    tokens = tokenizer.encode_array(TEXT)
    n_ctx = min(n_ctx, len(tokens) - 1)
    model = Table(tokenizer.vocab_size)
    score = evaluator(tokens, tokenizer, batch_size, n_ctx).score_split(model, limit_seconds=60)
    first = len(tokenizer.token_bytes[tokens[0]])
    assert (score.tokens, score.text_bytes) == (len(tokens) - 1, len(TEXT.encode()) - first)
    assert score.nats == pytest.approx(paid(model, tokens), rel=1e-6)
    assert score.bits_per_byte == pytest.approx(paid(model, tokens) / math.log(2) / (len(TEXT.encode()) - first))


def test_equal_predictions_give_equal_bits_per_byte_for_characters_and_bytes():
    text = "plain ASCII text, letter by letter\n" * 30
    scores = []
    for tokenizer in (train_tokenizer("character", text, 0), train_tokenizer("bpe", text, 256)):
        model = Table(tokenizer.vocab_size)
        with torch.no_grad():  # both give a letter the same probability, whatever its number and those of the others
            letters = torch.tensor([bytes_[0] if len(bytes_) == 1 else 0 for bytes_ in tokenizer.token_bytes])
            used = torch.tensor([chr(letter) in text for letter in letters])
            model.logits[:] = torch.where(used, torch.sin(letters.double()).float(), -torch.inf)
        scores.append(evaluator(tokenizer.encode_array(text), tokenizer).score_split(model, limit_seconds=60))
    assert scores[0].bits_per_byte == pytest.approx(scores[1].bits_per_byte, rel=1e-5)
    assert scores[0].text_bytes == scores[1].text_bytes == len(text) - 1


def test_why_the_whole_split_was_not_scored_is_said(monkeypatch):
    tokens, settings = CHARACTERS.encode_array(TEXT), TrainConfig(batch_size=1)
    text = PreparedText(CHARACTERS, Windows(tokens, 8), Windows(tokens, 8))
    precision = autocast(torch.device("cpu"), torch.float32)
    validation = Validation(text, settings, precision, next_token, ALONE)
    model = Table(CHARACTERS.vocab_size)
    assert validation.score_split(model, 0.0, lambda: True) == {}
    assert validation.summary() == "the whole validation split was not scored: a stop came first"
    monkeypatch.setattr("training.validation.SPLIT_SECONDS", 0.0)
    assert validation.score_split(model, 0.0, lambda: False) == {}
    assert validation.summary() == "the whole validation split was not scored: it would have taken more than 0 s"


def next_token(model, tokens, targets, documents=None):
    return next_token_loss(model(tokens), targets)


def test_a_sample_counts_the_bytes_of_the_very_text_it_scored():
    # Token 0 is one byte, token 1 (€) three: the windows decide how many of each there are, not the split's average.
    tokenizer = train_tokenizer("character", "a€", 0)
    tokens = np.array([0] * 60 + [1] * 60, dtype=np.uint16)
    scorer = evaluator(tokens, tokenizer, batch_size=1, n_ctx=4)
    score = scorer.score_sample(Table(2), n_batches=1)
    _, targets = get_batch(tokens, 0, batch_size=1, n_ctx=4, seed=5, stream="val")
    assert score.tokens == 4 and score.text_bytes == sum(1 if token == 0 else 3 for token in targets.flatten().tolist())


def test_what_parts_documents_is_paid_for_but_has_no_bytes():
    tokenizer = train_tokenizer("bpe", TEXT, 270, special_tokens=[END_OF_TEXT])
    documents = tokenizer.encode_array(f"one{END_OF_TEXT}two{END_OF_TEXT}", special="token")
    assert list(documents).count(tokenizer.end_of_text) == 2
    model = Table(tokenizer.vocab_size)
    score = evaluator(documents, tokenizer, n_ctx=2).score_split(model, limit_seconds=60)
    assert score.tokens == len(documents) - 1 and score.nats == pytest.approx(paid(model, documents), rel=1e-6)
    assert score.text_bytes == len("onetwo") - len(tokenizer.token_bytes[documents[0]])


def test_a_sample_is_repeatable_and_leaves_model_and_global_randomness_alone():
    config = ModelConfig(
        d_vocab=CHARACTERS.vocab_size, d_model=16, n_layers=1, n_heads=2, d_mlp=32, n_ctx=8, dropout=0.5
    )
    model = build_model(config, seed=1).train()
    before = torch.get_rng_state()
    losses = [evaluator().score_sample(model, n_batches=3).loss_nats for _ in range(2)]
    assert losses[0] == losses[1] and model.training
    assert torch.equal(before, torch.get_rng_state())


def test_the_split_is_given_up_when_it_would_take_too_long_or_somebody_stops_it():
    model = Table(CHARACTERS.vocab_size).train()
    assert evaluator().score_split(model, limit_seconds=0.0) is None
    assert evaluator().score_split(model, limit_seconds=60, should_stop=lambda: True) is None
    assert evaluator().score_sample(model, n_batches=3, should_stop=lambda: True) is None
    assert model.training
