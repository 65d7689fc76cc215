"""Layers that look through a window: what they see, what their cache keeps, and that both are the same."""

import pytest
import torch
from torch import Tensor

from components.kv_cache import KVCache
from config import sizes
from config.catalog import IMPLEMENTATIONS
from generation.beam_search import beam_search
from generation.generate import generate
from generation.samplers import Greedy
from generation.speculative import Speculation

W = 4
WINDOWS = {"position": "rope", "attention_pattern": "wf", "window": W, "n_kv_heads": 2, "n_ctx": 60}
ALL_WINDOWS = WINDOWS | {"attention_pattern": "w", "position": "alibi"}
TOKENS = [(7 * place * place + 3) % 31 for place in range(60)]
every_implementation = pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
close = torch.testing.assert_close


@pytest.fixture(autouse=True)
def short_margin(monkeypatch):
    """So that buffers roll after few tokens."""
    monkeypatch.setattr("components.kv_cache.CACHE_MARGIN", 3)


@every_implementation
@pytest.mark.parametrize("n_layers", [1, 2, 3])
def test_a_layer_sees_a_window_and_several_reach_further(n_layers, implementation, small_model) -> None:
    model = small_model(implementation, **ALL_WINDOWS | {"n_layers": n_layers})
    text, last = torch.tensor([TOKENS[:20]]), 19
    furthest = last - n_layers * (W - 1)  # of itself and W − 1 before, layer by layer
    for place, is_seen in ((furthest, True), (furthest - 1, False)):
        changed = text.clone()
        changed[0, place] = (changed[0, place] + 1) % 31
        moved = (model(changed)[0, last] - model(text)[0, last]).abs().max().item()
        assert (moved > 0) == is_seen, place


@every_implementation
@pytest.mark.parametrize("config", [WINDOWS, ALL_WINDOWS], ids=["every second", "all"])
@pytest.mark.parametrize("prefill", [1, W - 1, W, W + 1, 15])
def test_cached_steps_equal_the_full_forward(config, prefill, implementation, small_model) -> None:
    model, text = small_model(implementation, **config), torch.tensor([TOKENS[:24]])
    cache, full = KVCache(model.config), model(text)
    parts = [model(text[:, :prefill], cache=cache)]
    parts += [model(text[:, place : place + 1], cache=cache) for place in range(prefill, 24)]
    close(torch.cat(parts, dim=1), full, atol=1e-4, rtol=1e-4)
    cache.reset()
    chunks = [model(part, cache=cache) for part in text.split([prefill, 5, 2, 24 - prefill - 7], dim=1)]
    close(torch.cat(chunks, dim=1), full, atol=1e-4, rtol=1e-4)


def test_a_window_layer_keeps_a_window_and_a_margin(small_model) -> None:
    model = small_model(**WINDOWS)
    cache = KVCache(model.config)
    assert [keys.shape[2] for keys in cache.keys] == [W - 1 + 3, 60]
    for token in TOKENS[:30]:
        model(torch.tensor([[token]]), cache=cache)
    assert 30 - cache.starts[0] <= W - 1 + 3 and cache.starts[1] == 0
    assert KVCache(model.config, capacity=5).keys[0].shape[2] == 5
    assert sizes.kv_cache_bytes(model.config) == 2 * 4 * (60 + W - 1 + sizes.CACHE_MARGIN) * 2 * 4


@pytest.mark.parametrize("rewind", [1, 2, 5])
def test_as_many_tokens_as_agreed_can_be_taken_back(rewind, small_model) -> None:
    model, text = small_model(**WINDOWS), torch.tensor([TOKENS[:40]])
    cache = KVCache(model.config, rewind=rewind)
    full = model(text)
    place = 0
    while place + rewind + 1 < 40:  # one step forward, some tokens in vain
        junk = torch.cat((text[:, place : place + 1], torch.zeros(1, rewind, dtype=torch.long)), dim=1)
        close(model(junk, cache=cache)[:, 0], full[:, place], atol=1e-4, rtol=1e-4)
        cache.truncate(place + 1)
        place += 1
    with pytest.raises(ValueError, match=f"can take back {rewind} tokens, not {place}"):
        cache.truncate(0)


@pytest.mark.parametrize("config", [WINDOWS, ALL_WINDOWS], ids=["every second", "all"])
def test_padding_before_the_text_changes_nothing(config, small_model) -> None:
    model = small_model(**config)
    tokens = torch.tensor([TOKENS[:12], TOKENS[12:24]])
    real = torch.ones(2, 12, dtype=torch.bool)
    real[1, :7] = False
    cache = KVCache(model.config, batch=2)
    model(tokens[:, :9], cache=cache, padding_mask=real[:, :9])
    steps = [model(tokens[:, place : place + 1], cache=cache) for place in range(9, 12)]
    close(torch.cat(steps, dim=1)[1:], model(tokens[1:, 7:])[:, 2:], atol=1e-4, rtol=1e-4)


def written(model, **arguments) -> list[int]:
    return [
        step.token for step in generate(model, TOKENS[:6], max_new_tokens=50, samplers=Greedy(), seed=0, **arguments)
    ]


@pytest.mark.parametrize("config", [
    WINDOWS, ALL_WINDOWS, WINDOWS | {"rope_local_theta": 100.0, "position_pattern": "ppn", "n_layers": 3},
    WINDOWS | {"rope_scaling": "dynamic", "rope_original_ctx": 16},
], ids=["every second", "all", "local", "dynamic"])  # fmt: skip
def test_texts_are_the_same_with_and_without_cache(config, small_model) -> None:
    model = small_model(**config | {"n_ctx": 24})  # 56 tokens: the text leaves the context as well
    assert written(model) == written(model, use_cache=False)


@pytest.mark.parametrize("config", [WINDOWS, WINDOWS | {"rope_local_theta": 100.0, "rope_style": "interleaved"}])
@torch.no_grad()
def test_a_rolled_cache_turns_the_keys_of_each_layer_by_its_own_positions(config, small_model) -> None:
    model = small_model(**config)
    cache = KVCache(model.config)
    model(torch.tensor([TOKENS[:9]]), cache=cache)
    cache.drop_oldest(3, lambda layer, keys: model.position_of(layer).turn_back(keys, 3))
    # One window layer alone: what it kept of the last tokens is what it would have read of them.
    alone = KVCache(model.config)
    model(torch.tensor([TOKENS[3:9]]), cache=alone)
    held = slice(3 - cache.starts[0], 6 - cache.starts[0]), slice(3 - alone.starts[0], 6 - alone.starts[0])
    close(cache.keys[0][:, :, held[0]], alone.keys[0][:, :, held[1]], atol=1e-5, rtol=1e-5)
    assert cache.length == alone.length == 6


def test_a_draft_and_beams_write_the_same_with_windows(small_model, tokens: Tensor) -> None:
    model, draft = small_model(**WINDOWS), small_model(**ALL_WINDOWS)
    steps = Speculation(model, draft, TOKENS[:6], max_new_tokens=40, samplers=Greedy(), seed=0, n_draft=5)
    assert [step.token for step in steps] == written(model)[:40]
    found = beam_search(model, TOKENS[:6], n_beams=3, max_new_tokens=12)
    scores = [model(torch.tensor([[*TOKENS[:6], *beam.tokens]])).log_softmax(dim=-1)[0, 5:-1] for beam in found]
    for beam, rows in zip(found, scores, strict=True):
        total = sum(row[token].item() for row, token in zip(rows, beam.tokens, strict=True))
        assert beam.log_probability == pytest.approx(total, abs=1e-3)


def test_growing_angles_are_refused_where_a_cache_is_needed(small_model) -> None:
    model = small_model(position="rope", rope_scaling="dynamic", rope_original_ctx=8)
    with pytest.raises(ValueError, match="beams share a KV cache, which dynamic RoPE scaling makes stale"):
        beam_search(model, TOKENS[:4], n_beams=2, max_new_tokens=3)
    with pytest.raises(ValueError, match="a draft needs a KV cache"):
        Speculation(model, model, TOKENS[:4], max_new_tokens=3, samplers=Greedy(), seed=0)
