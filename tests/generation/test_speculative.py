"""A draft changes the speed and nothing else: greedy texts are identical, drawn ones have the model's distribution."""

import itertools
import math

import pytest
import torch

from components.model import build_model
from config.errors import ConfigError
from config.model_config import ModelConfig
from generation.generate import generate
from generation.samplers import Chain, build_samplers
from generation.speculative import Speculation

N_CTX = 16
SIZES = {"d_model": 32, "n_layers": 2, "n_heads": 4, "d_mlp": 64, "n_ctx": N_CTX, "init_std": 0.3, "d_vocab": 19}
PROMPT = [3, 1, 4, 1, 5]


def make_model(seed=1, **changes):
    return build_model(ModelConfig(**SIZES | changes), seed=seed).eval()


def similar(model, amount):
    """A draft that often agrees."""
    draft = make_model(**model.config.to_dict())
    with torch.no_grad():
        for parameter in draft.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(5)) * amount)
    return draft


@pytest.mark.parametrize("position", ["learned", "rope", "alibi"])
@pytest.mark.parametrize("n_draft", [1, 3, 7])
@pytest.mark.parametrize("draft_window", [4, N_CTX, 40])
def test_greedy_text_is_the_models_own_past_the_window(position, n_draft, draft_window):
    model = make_model(position=position)
    samplers = build_samplers(greedy=True, repetition_penalty=None if n_draft == 1 else 1.2)
    settings = {"max_new_tokens": 34, "samplers": samplers, "seed": 1}
    expected = list(generate(model, PROMPT, **settings))
    for draft in (similar(model, 0.02), make_model(seed=9, n_ctx=draft_window)):
        speculation = Speculation(model, draft, PROMPT, n_draft=n_draft, **settings)
        steps = list(speculation)
        assert [step.token for step in steps] == [step.token for step in expected]
        assert [step.probability for step in steps] == pytest.approx([s.probability for s in expected], abs=1e-5)
        assert speculation.written == 34
        assert 0 <= speculation.accepted <= speculation.proposed


def test_a_draft_that_is_the_model_is_always_accepted():
    model = make_model(n_ctx=64)
    for samplers in (build_samplers(greedy=True), build_samplers(0.9)):
        speculation = Speculation(model, model, PROMPT, max_new_tokens=50, samplers=samplers, seed=1, n_draft=4)
        assert len(list(speculation)) == 50
        assert speculation.acceptance_rate > 0.97  # rounding may refuse one
        assert speculation.tokens_per_pass > 4.5


# 99.9 % of chi-square values with 15 degrees of freedom lie below.
CHI_SQUARE_LIMIT = 37.70
D_VOCAB, TEXTS = 4, 800
TINY = {"d_vocab": D_VOCAB, "init_std": 0.4, "d_model": 16, "n_layers": 1, "n_heads": 2, "d_mlp": 16}


@torch.inference_mode()
def joint(model, samplers, length=3):
    """The exact probability of every continuation."""
    found = {}
    for text in itertools.product(range(D_VOCAB), repeat=length):
        logits = model(torch.tensor([[1, *text]]))[0]
        rows = samplers(logits).softmax(-1)
        found[text] = float(torch.stack([rows[place, token] for place, token in enumerate(text)]).prod())
    return found


@pytest.mark.parametrize(
    "samplers", [pytest.param(Chain(()), marks=pytest.mark.slow), build_samplers(1.5, 3, None)], ids=str
)
def test_drawn_texts_have_the_models_distribution(samplers):
    model, draft = make_model(**TINY), make_model(seed=9, **TINY)
    texts, refused = [], 0
    for seed in range(TEXTS):
        speculation = Speculation(model, draft, [1], max_new_tokens=3, samplers=samplers, seed=seed, n_draft=2)
        texts.append(tuple(step.token for step in speculation))
        refused += speculation.proposed - speculation.accepted
    assert refused > TEXTS / 10  # else nothing was tested
    exact, of_draft = joint(model, samplers), joint(draft, samplers)
    for places in ((0, 1), (1, 2), (0, 2)):
        assert chi_square(texts, exact, places) < CHI_SQUARE_LIMIT
        assert chi_square(texts, of_draft, places) > CHI_SQUARE_LIMIT  # the test tells the two models apart


def chi_square(texts, exact, places):
    total = 0.0
    for pair in itertools.product(range(D_VOCAB), repeat=2):
        expected = len(texts) * sum(p for text, p in exact.items() if tuple(text[i] for i in places) == pair)
        count = sum(tuple(text[i] for i in places) == pair for text in texts)
        if expected >= 3:
            total += (count - expected) ** 2 / expected
        elif count > 12:
            return math.inf
    return total


class Uniforms:
    """A source of given numbers."""

    def __init__(self, *numbers):
        self.numbers = list(numbers)

    def random(self):
        return self.numbers.pop(0)


def test_a_refusal_by_rounding_alone_draws_from_the_models_own_distribution(monkeypatch):
    model = make_model(**TINY | {"d_vocab": 2})
    speculation = Speculation(model, model, [1], max_new_tokens=2, samplers=Chain(()), seed=0, n_draft=1)
    # q has nothing less than p: max(p - q, 0) is zero everywhere.
    q, p = torch.tensor([[0.50000006, 0.5]]), torch.tensor([[0.5, 0.5]])
    rows = iter((q, p))
    monkeypatch.setattr(speculation, "_distribution", lambda logits: next(rows))
    speculation._random = Uniforms(0.0, 0.99999999, 0.7)  # proposes 0, refuses it, draws 1
    with torch.inference_mode():
        (step,) = speculation._round()
    assert (step.token, speculation.proposed, speculation.accepted) == (1, 1, 0)


def test_the_same_seed_writes_the_same():
    model, draft = make_model(), make_model(seed=9)
    settings = {"max_new_tokens": 30, "samplers": build_samplers()}
    first, again, other = (
        [step.token for step in Speculation(model, draft, PROMPT, seed=seed, **settings)] for seed in (1, 1, 2)
    )
    assert first == again != other


def test_a_stop_token_ends_the_text():
    model = make_model()
    settings = {"max_new_tokens": 30, "samplers": build_samplers(greedy=True), "seed": 0}
    plain = [step.token for step in generate(model, PROMPT, **settings)]
    stop = plain[5]
    speculation = Speculation(model, similar(model, 0.02), PROMPT, stop_tokens=[stop], **settings)
    assert [step.token for step in speculation] == plain[: plain.index(stop) + 1]


def test_what_cannot_work_is_refused():
    model, settings = make_model(), {"max_new_tokens": 3, "samplers": Chain(()), "seed": 0}
    with pytest.raises(ConfigError, match="vocabulary of 23, the model one of 19"):
        Speculation(model, make_model(d_vocab=23), PROMPT, **settings)
    with pytest.raises(ConfigError, match="n_draft 0 must be at least 1"):
        Speculation(model, model, PROMPT, n_draft=0, **settings)
    with pytest.raises(ConfigError, match="at least one token"):
        Speculation(model, model, [], **settings)
    mixed = Speculation(model, make_model(d_vocab=23), PROMPT, vocab_size=19, **settings)
    assert len(list(mixed)) == 3
