"""What is explained on the way through a model is what the model computes."""

import math
import re

import pytest
import torch

from components.model import build_model
from config.errors import TextError
from config.presets import load_preset
from interpret.subject import Subject
from learn import walk as walking
from text.character import CharacterTokenizer

TEXT = "the king"


@pytest.fixture(params=["gpt2", "llama", "olmo"])
def subject(request, tmp_path):
    tokenizer = CharacterTokenizer.train("the quick king jumps over a lazy dog")
    config = load_preset(request.param, "tiny").replace(d_vocab=tokenizer.vocab_size, n_layers=2, init_std=0.2)
    return Subject(build_model(config, "einops", seed=1).eval(), tokenizer, tmp_path)


def last_number(text: str) -> float:
    return float(re.findall(r"−?-?\d+\.\d+", text)[-1])


def test_every_number_is_the_models_own(subject):
    found = walking.walk(subject, TEXT)
    tokens = torch.tensor([found.ids])
    logits = subject.model(tokens)[0].detach()
    assert found.tokens[0] == "t" and found.left_out == 0
    for pos, best in enumerate(found.next_tokens):
        assert best[0][1] == logits[pos].argmax()
        for _, token, logit, probability in best:
            assert logit == pytest.approx(logits[pos, token].item(), abs=1e-5)
            assert probability == pytest.approx(logits[pos].softmax(-1)[token].item(), abs=1e-6)
    assert found.embedding[1] == pytest.approx(subject.model.token_embedding.weight[found.ids[1]].tolist())


def test_explanations_end_with_the_number_they_explain(subject):
    found = walking.walk(subject, TEXT)
    share = found.patterns[1][2][4][3]
    row = found.scores[1][2][4][:5]
    assert share == pytest.approx(math.exp(row[3]) / sum(map(math.exp, row)), abs=1e-5)
    assert last_number(walking.explain_share(found, 1, 2, 4, 3)) == pytest.approx(share, abs=1e-4)
    assert "sink" not in walking.explain_share(found, 1, 2, 4, 3)
    assert "nobody looks ahead" in walking.explain_share(found, 0, 0, 1, 2)
    _, _, logit, probability = found.next_tokens[3][1]
    assert last_number(walking.explain_logit(subject, found, 3, 1)) == pytest.approx(logit, abs=1e-3)
    assert "scaled" not in walking.explain_logit(subject, found, 3, 1)
    assert last_number(walking.explain_probability(found, 3, 1)) == pytest.approx(probability, abs=1e-4)
    assert last_number(walking.explain_embedding(found, 2, 5)) == pytest.approx(found.embedding[2][5], abs=1e-4)
    assert f"{found.stream[1][2]:.3f}" in walking.explain_length(found, 1, 2)
    assert "lengths do not simply add up" in walking.explain_length(found, 1, 2)


def test_a_sink_and_a_scaled_embedding_stand_in_the_formulas(tmp_path):
    tokenizer = CharacterTokenizer.train("the quick king jumps over a lazy dog")
    config = load_preset("llama", "tiny").replace(
        d_vocab=tokenizer.vocab_size, n_layers=1, init_std=0.2, attention_sinks=True, embedding_scale=3.0
    )
    model = build_model(config, "einops", seed=1).eval()
    with torch.no_grad():
        model.blocks[0].attention.sinks.fill_(1.25)
    found = walking.walk(Subject(model, tokenizer, tmp_path), TEXT)
    assert "e^1.25 of the sink" in walking.explain_share(found, 0, 2, 4, 3)
    assert "E[token, dimension] · 3 = " in walking.explain_embedding(found, 2, 5)
    assert found.embedding[2][5] == pytest.approx(3 * model.token_embedding.weight[found.ids[2], 5].item())


def test_behind_post_norm_the_norm_decides_the_length(tmp_path):
    tokenizer = CharacterTokenizer.train("the quick king jumps over a lazy dog")
    config = load_preset("llama", "tiny").replace(d_vocab=tokenizer.vocab_size, n_layers=1, norm_placement="post")
    found = walking.walk(Subject(build_model(config, "einops", seed=1).eval(), tokenizer, tmp_path), TEXT)
    assert "the last norm decides" in walking.explain_length(found, 1, 2)


def test_a_long_text_is_cut_and_an_unknown_character_is_refused(subject):
    assert walking.walk(subject, "the king " * 9).left_out == 9 * 9 - walking.MOST_TOKENS
    with pytest.raises(TextError, match="王"):
        walking.walk(subject, "王")
