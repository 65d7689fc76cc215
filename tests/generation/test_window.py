"""Past the window: both policies against a reference, and what cannot roll."""

import pytest
import torch

from components.attention_mask import attention_mask
from components.layer_masks import LayerMasks
from components.model import build_model
from config.errors import ConfigError
from config.model_config import ModelConfig
from generation.generate import generate, generate_batch
from generation.samplers import Chain, Greedy, build_samplers
from generation.window import Window

W, D_VOCAB, LENGTH = 12, 19, 40
SIZES = {"d_vocab": D_VOCAB, "d_model": 32, "n_layers": 3, "n_heads": 4, "n_kv_heads": 2, "d_mlp": 64, "init_std": 0.3}
TOKENS = [(7 * place * place + 3 * place) % D_VOCAB for place in range(LENGTH)]


def make_model(position, n_ctx=W):
    return build_model(ModelConfig(**SIZES, position=position, n_ctx=n_ctx), seed=1).eval()


def window_starts(n_prompt):
    """The first token that each one saw when it was read: by half a window, whenever n_ctx are full."""
    starts, start = [0] * n_prompt, 0
    for place in range(n_prompt, LENGTH):
        if place - start + 1 > W:
            start = place + 1 - W // 2
        starts.append(start)
    return starts


@torch.inference_mode()
def through_the_window(model, sliding, n_prompt, use_plan):
    window = Window(model, [TOKENS[:n_prompt]], W, sliding, use_plan)
    rows = []
    for token in [*TOKENS[n_prompt:], 0]:
        rows.append(window.next_logits().clone())
        window.append([token])
    return torch.cat(rows)


@pytest.mark.parametrize("position", ["rope", "alibi", "none"])
@pytest.mark.parametrize("n_prompt", [1, W - 1, W])
@pytest.mark.parametrize("use_plan", [True, False])
def test_rolling_is_one_pass_in_which_each_token_saw_its_window(position, n_prompt, use_plan, monkeypatch):
    wide = make_model(position, n_ctx=LENGTH)  # the same weights: these schemes have none
    starts = torch.tensor(window_starts(n_prompt))[:, None]
    place = torch.arange(LENGTH)
    visible = (place <= place[:, None]) & (place >= starts)

    def mask(self, window, position):
        return attention_mask(visible, None, position.bias(LENGTH, LENGTH))

    with torch.inference_mode(), monkeypatch.context() as patched:
        patched.setattr(LayerMasks, "of", mask)
        expected = wide(torch.tensor([TOKENS]))[0, n_prompt - 1 :]
    found = through_the_window(make_model(position), "roll", n_prompt, use_plan)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=5e-5)


@pytest.mark.parametrize("position", ["learned", "sinusoidal", "rope", "alibi", "none"])
@pytest.mark.parametrize("n_prompt", [1, W - 1, W, W + 1])
@pytest.mark.parametrize("use_plan", [True, False])
def test_reencoding_sees_exactly_the_tokens_of_the_window(position, n_prompt, use_plan):
    model = make_model(position)
    seen, expected = TOKENS[:n_prompt][-W:], []
    for token in [*TOKENS[n_prompt:], 0]:
        seen = seen[-(W // 2) :] if len(seen) > W else seen
        with torch.inference_mode():
            expected.append(model(torch.tensor([seen]))[0, -1])
        seen = [*seen, token]
    found = through_the_window(model, "reencode", n_prompt, use_plan)
    torch.testing.assert_close(found, torch.stack(expected), rtol=1e-4, atol=5e-5)


def test_the_two_policies_differ_in_what_deeper_layers_remember():
    model = make_model("rope")
    roll, reencode = (through_the_window(model, sliding, W, True) for sliding in ("roll", "reencode"))
    torch.testing.assert_close(roll[0], reencode[0])
    assert (roll[1] - reencode[1]).abs().max() > 1e-2


@pytest.mark.parametrize("n_ctx", [1, 2, 3, 4])
def test_the_smallest_windows_roll(n_ctx):
    model = make_model("rope", n_ctx)
    steps = generate(model, [1], max_new_tokens=10, samplers=Chain((Greedy(),)), seed=0, sliding="roll")
    assert len(list(steps)) == 10


@pytest.mark.parametrize(
    ("position", "settings", "message"),
    [
        ("learned", {"sliding": "roll"}, "learned positions cannot move"),
        ("sinusoidal", {"sliding": "roll"}, "sinusoidal positions cannot move"),
        ("rope", {"sliding": "roll", "use_cache": False}, "no cache to roll"),
        ("rope", {"sliding": "slide"}, "choose one of reencode, roll"),
    ],
)
def test_what_cannot_roll_is_refused(position, settings, message):
    with pytest.raises(ConfigError, match=message):
        generate(make_model(position), [1], max_new_tokens=3, samplers=Chain(()), seed=0, **settings)


def test_texts_of_different_length_cannot_roll_together():
    with pytest.raises(ConfigError, match="equally long"):
        generate_batch(
            make_model("rope"), [[1], [1, 2]], max_new_tokens=3, samplers=Chain(()), seeds=[0, 1], sliding="roll"
        )


@pytest.mark.parametrize("position", ["learned", "rope", "alibi"])
@pytest.mark.parametrize("sliding", ["reencode", "roll"])
def test_samples_of_a_batch_are_the_single_texts_past_the_window(position, sliding):
    if sliding == "roll" and position == "learned":
        pytest.skip("learned positions cannot roll")
    model = make_model(position)
    settings = {"max_new_tokens": 30, "samplers": build_samplers(repetition_penalty=1.1), "sliding": sliding}
    batch = list(generate_batch(model, [TOKENS[:5]] * 4, seeds=[3, 4, 5, 6], **settings))
    for row, seed in enumerate([3, 4, 5, 6]):
        alone = list(generate(model, TOKENS[:5], seed=seed, **settings))
        assert [steps[row].token for steps in batch] == [step.token for step in alone]
        assert [steps[row].probability for steps in batch] == pytest.approx([s.probability for s in alone], abs=1e-5)


@pytest.mark.parametrize("position", ["learned", "rope", "alibi"])
@pytest.mark.parametrize("use_cache", [True, False])
def test_prompts_of_different_length_are_the_single_texts_past_the_window(position, use_cache):
    model = make_model(position)
    prompts = [TOKENS[:3], TOKENS[:20], TOKENS[5:14], [1]]
    settings = {"max_new_tokens": 25, "samplers": build_samplers(repetition_penalty=1.1), "use_cache": use_cache}
    batch = list(generate_batch(model, prompts, seeds=[0, 1, 2, 3], **settings))
    for row, prompt in enumerate(prompts):
        alone = [step.token for step in generate(model, prompt, seed=row, **settings)]
        assert [steps[row].token for steps in batch] == alone


def test_a_stop_token_ends_its_text_and_not_the_others():
    model, settings = make_model("rope"), {"max_new_tokens": 25, "samplers": build_samplers(), "stop_tokens": [4, 7]}
    batch = list(generate_batch(model, [[1]] * 5, seeds=list(range(5)), **settings))
    lengths = set()
    for row in range(5):
        alone = [step.token for step in generate(model, [1], seed=row, **settings)]
        written = [steps[row].token for steps in batch if steps[row] is not None]
        assert written == alone
        assert not set(written[:-1]) & {4, 7}
        assert written[-1] in (4, 7) or len(written) == 25
        lengths.add(len(written))
    assert len(lengths) > 1
    assert len(batch) == max(lengths)


def test_a_batch_needs_a_seed_for_each_prompt():
    with pytest.raises(ConfigError, match="2 prompts need as many seeds, not 1"):
        generate_batch(make_model("rope"), [[1], [2]], max_new_tokens=3, samplers=Chain(()), seeds=[0])


def test_a_step_has_log_probability_and_the_best_alternatives():
    model = make_model("rope")
    (step,) = generate(model, [1, 2], max_new_tokens=1, samplers=Chain(()), seed=3, n_alternatives=4)
    with torch.inference_mode():
        probabilities = model(torch.tensor([[1, 2]]))[0, -1].softmax(-1)
    best = probabilities.topk(4)
    token, probability = step
    assert (token, probability) == (step.token, step.probability)
    assert step.log_probability == pytest.approx(float(probabilities[token].log()), abs=1e-4)
    assert [found.token for found in step.alternatives] == best.indices.tolist()
    assert [found.probability for found in step.alternatives] == pytest.approx(best.values.tolist(), abs=1e-5)
    (step,) = generate(model, [1, 2], max_new_tokens=1, samplers=Chain(()), seed=3)
    assert step.alternatives == ()
