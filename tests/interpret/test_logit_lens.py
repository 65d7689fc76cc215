"""The last stage of the lens is what the model says; ranks and truths are where they belong."""

import pytest
import torch

from interpret import logit_lens as module
from interpret.logit_lens import logit_lens
from tests.components.test_contract import CONFIGS


@pytest.mark.parametrize("change", CONFIGS)
def test_the_last_stage_is_the_model(change, make_model, text):
    model = make_model(**CONFIGS[change])
    lens = logit_lens(model, text, guesses=3)
    expected = model(text[None])[0].softmax(dim=-1).topk(3)
    assert lens.tokens.shape == (3, 11, 3)
    assert torch.equal(lens.tokens[-1], expected.indices)
    torch.testing.assert_close(lens.probabilities[-1], expected.values)


def test_truth_is_the_next_token(make_model, text):
    model = make_model()
    lens = logit_lens(model, text)
    probabilities = model(text[None])[0].softmax(dim=-1)
    for position in range(10):
        true = probabilities[position, text[position + 1]]
        assert lens.truth_probability[-1, position] == pytest.approx(float(true), rel=1e-5)
        assert lens.truth_rank[-1, position] == 1 + int((probabilities[position] > true).sum())
    assert lens.truth_rank[:, -1].tolist() == [0, 0, 0]
    assert lens.truth_probability[:, -1].tolist() == [0, 0, 0]


def test_stage_zero_is_the_embedding(make_model, text):
    model = make_model(position="none")
    stream = model.final_norm(model.token_embedding(text[None]))
    expected = model.unembedding(stream, model.token_embedding.weight)[0].argmax(dim=-1)
    assert torch.equal(logit_lens(model, text).tokens[0, :, 0], expected)


def test_a_large_vocabulary_is_read_in_pieces(make_model, text, monkeypatch):
    model = make_model()
    whole = logit_lens(model, text)
    monkeypatch.setattr(module, "MOST_LOGITS", 31 * 4)
    pieces = logit_lens(model, text)
    assert torch.equal(whole.tokens, pieces.tokens) and torch.equal(whole.truth_rank, pieces.truth_rank)
