"""Captures keep what flows, change nothing, name their bound, and never meet another's hooks."""

import threading

import pytest
import torch

from interpret.activations import capture, hooked, layer_points, points_of
from tests.components.test_contract import CONFIGS


@pytest.mark.parametrize("change", CONFIGS)
def test_logits_are_equal_bit_for_bit_with_all_captures_and_without(change, make_model, text):
    model = make_model(**CONFIGS[change])
    found = capture(model, text[None], list(points_of(model)))
    assert torch.equal(found.logits, model(text[None]))
    assert set(found.values) == set(points_of(model))


@pytest.mark.parametrize("change", CONFIGS)
def test_a_fused_checkpoint_gives_the_same_in_einops(change, make_model, text):
    fused = make_model("fused", **CONFIGS[change])
    model = make_model("einops", **CONFIGS[change])
    model.load_state_dict(fused.state_dict(), strict=True)
    torch.testing.assert_close(model(text[None]), fused(text[None]), rtol=0, atol=2e-5)


def test_names_are_those_of_transformer_lens(make_model):
    names = set(points_of(make_model(n_layers=1)))
    assert names == {
        "hook_embed", "hook_pos_embed", "blocks.0.hook_resid_pre", "blocks.0.ln1.hook_scale",
        "blocks.0.ln1.hook_normalized", "blocks.0.attn.hook_q", "blocks.0.attn.hook_k", "blocks.0.attn.hook_v",
        "blocks.0.attn.hook_attn_scores", "blocks.0.attn.hook_pattern", "blocks.0.attn.hook_z",
        "blocks.0.hook_attn_out", "blocks.0.hook_resid_mid", "blocks.0.ln2.hook_scale",
        "blocks.0.ln2.hook_normalized", "blocks.0.mlp.hook_pre", "blocks.0.mlp.hook_post", "blocks.0.hook_mlp_out",
        "blocks.0.hook_resid_post", "ln_final.hook_scale", "ln_final.hook_normalized",
    }  # fmt: skip


def test_the_stream_is_the_sum_of_what_was_added(make_model, text):
    model = make_model()
    values = capture(model, text[None], list(points_of(model))).values
    added = [values[f"blocks.{layer}.{point}"] for layer in (0, 1) for point in ("hook_attn_out", "hook_mlp_out")]
    start = values["hook_embed"] + values["hook_pos_embed"]
    torch.testing.assert_close(values["blocks.1.hook_resid_post"], start + sum(added))
    for layer in layer_points(model, "attn.hook_pattern").values():
        torch.testing.assert_close(values[layer].sum(dim=-1), torch.ones(1, 6, 11))


def test_a_value_is_replaced_only_while_asked_for(make_model, text):
    model = make_model()
    before = model(text[None])
    with hooked(model, {"hook_embed": lambda value: value * 2}):
        assert not torch.allclose(model(text[None]), before)
    assert torch.equal(model(text[None]), before)
    with pytest.raises(ZeroDivisionError), hooked(model, {"hook_embed": lambda value: value * (1 // 0)}):
        model(text[None])
    assert torch.equal(model(text[None]), before)


def test_what_is_kept_takes_the_memory_that_is_counted(make_model, text):
    names = ["blocks.0.attn.hook_q", "blocks.0.attn.hook_v"]
    for value in capture(make_model(), text[None], names).values.values():
        assert value.untyped_storage().nbytes() == value.nbytes  # not a view of queries, keys and values together


def test_the_bound_of_memory_is_a_sentence_with_the_numbers(make_model, text):
    model = make_model()
    names = list(layer_points(model, "attn.hook_pattern").values())
    one = 6 * 11 * 11 * 4
    capture(model, text[None], names, most_bytes=2 * one)
    with pytest.raises(ValueError, match=r"2 activations of 11 tokens take more than 0 MB .*take a shorter text"):
        capture(model, text[None], names, most_bytes=2 * one - 1)
    assert not any(point._forward_hooks for point in points_of(model).values())


def test_wrong_questions_get_a_sentence(make_model, text):
    with pytest.raises(ValueError, match=r'the fused implementation has no activation points.*"einops"'):
        points_of(make_model("fused"))
    with pytest.raises(ValueError, match="no activation point 'hook_nothing'; `points_of` lists"):
        capture(make_model(), text[None], ["hook_nothing"])


def test_sessions_that_share_a_model_do_not_see_each_others_hooks(make_model, text):
    model = make_model()
    expected = capture(model, text[None], []).logits
    answers = []

    def look() -> None:
        answers.append(capture(model, text[None], []).logits)

    with hooked(model, {"hook_embed": torch.zeros_like}):
        other = threading.Thread(target=look)
        other.start()
        other.join(0.2)
        assert not answers  # it waits
    other.join()
    assert torch.equal(answers[0], expected)
