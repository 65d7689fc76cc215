"""The loop: equal with and without cache, its window, its seeds, and that it leaves the shared model alone."""

import gc
import math
import random
import weakref
from itertools import islice

import pytest
import torch

import generation.window
from components.kv_cache import KVCache
from components.model import build_model
from config.errors import CheckpointError, ConfigError
from config.model_config import ModelConfig
from generation.generate import generate
from generation.samplers import Chain, Greedy, build_samplers

N_CTX, D_VOCAB = 12, 19
PLAIN = Chain(())
PROMPT = [3, 1, 4, 1, 5]


def make_model(**changes):
    # Larger weights than for training: a model that has opinions, so that a wrong window changes the text.
    sizes = {"d_vocab": D_VOCAB, "d_model": 32, "n_layers": 2, "n_heads": 4, "d_mlp": 64, "n_ctx": N_CTX}
    return build_model(ModelConfig(**sizes | {"init_std": 0.3} | changes), seed=1).eval()


@pytest.fixture(scope="module")
def model():
    return make_model()


def tokens_of(steps):
    return [step.token for step in steps]


def run(model, prompt=PROMPT, **settings):
    return list(generate(model, prompt, **{"max_new_tokens": 30, "samplers": PLAIN, "seed": 5} | settings))


@torch.inference_mode()
def greedy_by_hand(model, prompt, count):
    """The policy of the docstring, written down a second time: no cache, no samplers."""
    seen, written = prompt[-N_CTX:], []
    for _ in range(count):
        if len(seen) > N_CTX:
            seen = seen[-(N_CTX // 2) :]
        logits = model(torch.tensor([seen]))[0, -1]
        token = int(logits.argmax())
        written.append((token, float(logits.softmax(-1)[token])))
        seen = [*seen, token]
    return written


@pytest.mark.parametrize("position", ["learned", "rope", "alibi", "sinusoidal", "none"])
@pytest.mark.parametrize("prompt_length", [1, N_CTX - 1, N_CTX, N_CTX + 1, 3 * N_CTX])
def test_text_is_the_same_as_by_hand_with_and_without_cache_past_the_window(position, prompt_length):
    model = make_model(position=position, n_kv_heads=2)
    prompt = [(7 * index) % D_VOCAB for index in range(prompt_length)]
    expected = greedy_by_hand(model, prompt, N_CTX + 8)
    for use_cache in (True, False):
        steps = run(model, prompt, max_new_tokens=N_CTX + 8, samplers=Chain((Greedy(),)), use_cache=use_cache)
        assert tokens_of(steps) == [token for token, _ in expected]
        assert [step.probability for step in steps] == pytest.approx([p for _, p in expected], abs=1e-5)


@pytest.mark.parametrize("n_ctx", [1, 2, 3])
def test_the_smallest_windows_work(n_ctx):
    model = make_model(n_ctx=n_ctx)
    assert tokens_of(run(model)) == tokens_of(run(model, use_cache=False))


def test_the_prompt_goes_in_at_once_then_one_token_at_a_time_and_half_a_window_when_it_slides():
    model, lengths = make_model(), []
    model.blocks[0].register_forward_pre_hook(lambda _, args: lengths.append(args[0].shape[1]))
    run(model, [1] * 10, max_new_tokens=10)
    #                  prompt, window full at 12, re-encoded: the last 6 of 13
    assert lengths == [10, 1, 1, 6, 1, 1, 1, 1, 1, 1]


def test_the_same_seed_writes_the_same_and_another_seed_another_text(model):
    assert run(model, seed=5) == run(model, seed=5)
    assert tokens_of(run(model, seed=5)) != tokens_of(run(model, seed=6))


def test_a_text_is_the_same_with_and_without_cache_when_drawn(model):
    drawn = [tokens_of(run(model, samplers=build_samplers(), use_cache=use_cache)) for use_cache in (True, False)]
    assert drawn[0] == drawn[1]


def test_first_tokens_follow_the_models_distribution(model):
    with torch.inference_mode():
        probabilities = model(torch.tensor([PROMPT]))[0, -1].softmax(-1).tolist()
    draws = 400
    counts = [0] * D_VOCAB
    for seed in range(draws):
        (step,) = run(model, max_new_tokens=1, seed=seed)
        counts[step.token] += 1
        assert step.probability == pytest.approx(probabilities[step.token], abs=1e-5)
    frequent = [token for token in range(D_VOCAB) if probabilities[token] * draws >= 3]
    chi_square = sum(
        (counts[token] - probabilities[token] * draws) ** 2 / (probabilities[token] * draws) for token in frequent
    )
    assert chi_square < 42.31  # 99.9 % of chi-square values with 18 degrees of freedom, the most there can be


def test_the_reported_probability_is_the_models_not_the_samplers(model):
    assert all(step.probability < 1 for step in run(model, samplers=Chain((Greedy(),))))


def test_tokens_beyond_the_tokenizers_vocabulary_are_never_drawn():
    model = make_model()
    with torch.no_grad():
        model.token_embedding.weight[15:] = 5 * model.token_embedding.weight[:4]  # tied: padding the model likes best
    assert max(tokens_of(run(model))) >= 15
    assert max(tokens_of(run(model, vocab_size=15))) < 15
    assert max(tokens_of(run(model, vocab_size=15, samplers=Chain((Greedy(),))))) < 15


def test_a_generation_leaves_the_world_as_it_was(model):
    torch.manual_seed(3)
    random.seed(3)
    before = torch.get_rng_state(), random.getstate(), {name: t.clone() for name, t in model.state_dict().items()}
    steps = generate(model, PROMPT, max_new_tokens=5, samplers=build_samplers(), seed=1)
    for _ in steps:
        assert not torch.is_inference_mode_enabled()
        assert torch.is_grad_enabled()
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    assert all(torch.equal(tensor, before[2][name]) for name, tensor in model.state_dict().items())
    assert not model.training


def test_sessions_that_share_a_model_do_not_mix(model):
    alone = [tokens_of(run(model, [seed], seed=seed)) for seed in range(3)]
    together = [[], [], []]
    sessions = [generate(model, [seed], max_new_tokens=30, samplers=PLAIN, seed=seed) for seed in range(3)]
    for steps in zip(*sessions, strict=True):
        for written, step in zip(together, steps, strict=True):
            written.append(step.token)
    assert together == alone


def test_closing_the_iterator_frees_its_cache(model, monkeypatch):
    caches = []

    def remember(*args, **kwargs):
        cache = KVCache(*args, **kwargs)
        caches.append(weakref.ref(cache))
        return cache

    monkeypatch.setattr(generation.window, "KVCache", remember)
    steps = generate(model, PROMPT, max_new_tokens=1000, samplers=PLAIN, seed=1)
    assert len(list(islice(steps, 3))) == 3
    assert caches[0]() is not None
    steps.close()
    gc.collect()
    assert caches[0]() is None
    assert next(steps, None) is None


def test_the_cache_is_no_larger_than_what_it_will_hold(model, monkeypatch):
    capacities = []

    def remember(*args, capacity, **kwargs):
        capacities.append(capacity)
        return KVCache(*args, capacity=capacity, **kwargs)

    monkeypatch.setattr(generation.window, "KVCache", remember)
    for asked in (2, 10**12):
        generate(model, PROMPT, max_new_tokens=asked, samplers=PLAIN, seed=1)
    assert capacities == [7, N_CTX]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prompt": []}, "nothing to continue"),
        ({"prompt": [3, 19]}, "token 19 is not in the model's vocabulary of 19"),
        ({"prompt": [-1]}, "token -1"),
        ({"max_new_tokens": -1}, "max_new_tokens -1"),
        ({"seed": -1}, "seed -1"),
    ],
)
def test_what_cannot_be_used_is_refused_before_the_first_step(model, settings, message):
    prompt = settings.get("prompt", PROMPT)
    rest = {"max_new_tokens": 3, "seed": 1} | {name: v for name, v in settings.items() if name != "prompt"}
    with pytest.raises(ConfigError, match=message):
        generate(model, prompt, samplers=PLAIN, **rest)


def test_no_tokens_asked_for_are_no_tokens(model):
    assert run(model, max_new_tokens=0) == []


def test_a_model_with_active_dropout_is_refused():
    model = make_model(dropout=0.1)
    assert run(model)
    with pytest.raises(ConfigError, match="eval"):
        run(model.train())
    run(make_model().train())  # without dropout the mode makes no difference


def test_a_model_that_diverged_is_told():
    model = make_model()
    with torch.no_grad():
        model.token_embedding.weight[3, 0] = math.nan
    with pytest.raises(CheckpointError, match="diverged"):
        run(model)
