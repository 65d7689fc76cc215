"""A part that is switched off is exactly that part, in its own row."""

import pytest
import torch
import torch.nn.functional as F

from interpret import ablation
from interpret.ablation import Part, importance, losses_without, parts_of
from tests.components.test_contract import CONFIGS


def loss_of(model, text):
    return float(F.cross_entropy(model(text[None])[0, :-1], text[1:]))


def by_weights(model, part):
    """Take a part away where it cannot come back: zero what it writes with."""
    block = model.blocks[part.layer]
    if part.kind == "head":
        columns = slice(part.head * 4, part.head * 4 + 4)
        block.attention.out_proj.weight[:, columns] = 0
    if part.kind in ("attention", "layer"):
        block.attention.out_proj.weight.zero_()
        block.attention.out_proj.bias.zero_()
    if part.kind in ("mlp", "layer"):
        block.mlp.down_proj.weight.zero_()
        block.mlp.down_proj.bias.zero_()


@pytest.mark.parametrize("change", ["gpt2", "llama-gqa", "post-sinusoidal-mqa"])
def test_the_map_agrees_with_weights_set_to_zero(change, make_model, text):
    fields = CONFIGS[change] | {"mlp_bias": True}
    whole, effects = importance(make_model(**fields), text, "zero")
    assert whole == pytest.approx(loss_of(make_model(**fields), text), abs=1e-5)
    assert [effect.part for effect in effects] == parts_of(make_model(**fields))
    assert len(effects) == 2 * (6 + 3)
    for effect in effects:
        model = make_model(**fields)
        by_weights(model, effect.part)
        assert effect.loss == pytest.approx(loss_of(model, text), abs=2e-5), str(effect.part)
        assert effect.change == pytest.approx(effect.loss - whole)
    assert len({round(effect.loss, 5) for effect in effects}) == len(effects)  # no two parts are the same one


def test_the_mean_is_over_the_positions_of_the_row(make_model, text):
    model = make_model()
    block = model.blocks[1].mlp
    forward = block.forward
    block.forward = lambda x: forward(x).mean(dim=1, keepdim=True).expand_as(x)
    expected = loss_of(model, text)
    del block.forward
    rows = [(), (Part(1, "mlp"),), (Part(0, "head", 2),)]
    assert losses_without(model, text, rows, "mean")[1] == pytest.approx(expected, abs=1e-5)


def test_several_parts_of_one_row(make_model, text):
    model = make_model()
    parts = (Part(0, "head", 1), Part(0, "head", 4), Part(1, "mlp"))
    (loss,) = losses_without(model, text, [parts], "zero")
    for part in parts:
        by_weights(model, part)
    assert loss == pytest.approx(loss_of(model, text), abs=2e-5)


def test_a_map_in_small_passes_is_the_same(make_model, text, monkeypatch):
    model = make_model()
    whole, effects = importance(model, text)
    monkeypatch.setattr(ablation, "MOST_BYTES", 1)
    alone, one_by_one = importance(model, text)
    assert alone == pytest.approx(whole, abs=1e-5)
    assert [effect.loss for effect in one_by_one] == pytest.approx([effect.loss for effect in effects], abs=1e-5)


def test_wrong_questions_get_a_sentence(make_model, text):
    model = make_model()
    with pytest.raises(ValueError, match="at least two tokens"):
        importance(model, text[:1])
    with pytest.raises(ValueError, match="no replacement 'random'; choose one of zero, mean"):
        importance(model, text, "random")
    with pytest.raises(ValueError, match="no layer 0 head 6"):
        losses_without(model, text, [(Part(0, "head", 6),)])
    assert not torch.isnan(torch.tensor(losses_without(model, text, [()]))).any()
