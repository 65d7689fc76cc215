"""What is not exactly a model that is known here is refused in a sentence that names it, and nothing is left behind."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from config.errors import CheckpointError, ConfigError, RunError, TextError
from config.presets import load_preset
from interop.family import choose_family
from interop.hugging_face import import_model, load, main
from interop.registry import FAMILIES
from interop.weights import write_weights


@pytest.fixture
def folder(their_model, tmp_path):
    """A copy that a test may spoil."""
    copy = tmp_path / "model"
    shutil.copytree(their_model("llama-gqa-biases")[1], copy)
    return copy


def change_config(folder, **changes):
    path = folder / "config.json"
    values = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({name: value for name, value in values.items() if value != "absent"}))


def change_weights(folder, change):
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


def test_an_unknown_model_type_is_answered_with_those_that_are_known(folder):
    change_config(folder, model_type="mamba", auto_map={"AutoModelForCausalLM": "evil.py"})
    with pytest.raises(CheckpointError, match=r"'mamba' is not one that can be read here: .*gpt2, .*llama"):
        load(folder)


def test_tensors_left_over_and_missing_are_named(folder):
    def change(tensors):
        tensors["model.layers.1.mlp.adapter.weight"] = torch.zeros(1)
        del tensors["model.layers.2.self_attn.k_proj.bias"]

    change_weights(folder, change)
    with pytest.raises(CheckpointError) as error:
        load(folder)
    assert "no place for model.layers.1.mlp.adapter.weight" in str(error.value)
    assert "lacks model.layers.2.self_attn.k_proj.bias" in str(error.value)


def test_tensors_of_another_shape_dtype_or_without_finite_numbers_are_refused(folder):
    name = "model.layers.0.self_attn.q_proj.weight"
    good = load_file(folder / "model.safetensors")[name]
    for bad, sentence in (
        (good[:30], r"shape \[30, 24\], but config.json asks for \[36, 24\]"),
        (good.to(torch.int8), "dtype I8.*quantized"),
        (good * float("nan"), "not finite"),
    ):
        change_weights(folder, lambda tensors, bad=bad: tensors.update({name: bad.contiguous()}))
        with pytest.raises(CheckpointError, match=sentence):
            load(folder)


def test_half_precision_is_read_exactly(folder):
    expected = load_file(folder / "model.safetensors")
    change_weights(folder, lambda tensors: tensors.update({k: v.to(torch.bfloat16) for k, v in tensors.items()}))
    tensors = load(folder).state_dict()
    kept = expected["model.embed_tokens.weight"].to(torch.bfloat16).float()
    assert tensors["token_embedding.weight"].dtype == torch.float32
    assert torch.equal(tensors["token_embedding.weight"], kept)


def test_tensors_that_carry_nothing_learned_are_left_out(folder, their_model):
    frequencies = {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(3)}
    change_weights(folder, lambda tensors: tensors.update(frequencies))
    load(folder)
    gpt2 = folder.with_name("gpt2")
    shutil.copytree(their_model("gpt2")[1], gpt2)
    before = load(gpt2).state_dict()

    def as_openai_wrote_it(tensors):
        for name in list(tensors):
            tensors[name.removeprefix("transformer.")] = tensors.pop(name)
        tensors["h.0.attn.bias"] = torch.ones(1, 1, 24, 24)

    change_weights(gpt2, as_openai_wrote_it)
    assert all(torch.equal(tensor, before[name]) for name, tensor in load(gpt2).state_dict().items())


def test_a_head_in_a_tied_file_must_be_the_embedding(their_model, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(their_model("llama-mqa-tied")[1], folder)
    embedding = load_file(folder / "model.safetensors")["model.embed_tokens.weight"]
    change_weights(folder, lambda tensors: tensors.update({"lm_head.weight": embedding}))
    load(folder)
    change_weights(folder, lambda tensors: tensors["lm_head.weight"].add_(1))
    with pytest.raises(CheckpointError, match=r"lm_head.weight holds other numbers"):
        load(folder)


def test_pickles_are_not_opened(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"pytorch_model.bin, a pickle"):
        load(folder)
    (folder / "pytorch_model.bin").unlink()
    with pytest.raises(CheckpointError, match="no weights"):
        load(folder)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"rope_parameters": {"rope_type": "longrope", "rope_theta": 1.0}}, "rope_type 'longrope'"),
        ({"hidden_act": "tanh"}, "hidden_act 'tanh'"),
        ({"num_key_value_heads": 4}, "n_heads 6 is not a multiple of n_kv_heads 4"),
        ({"hidden_size": "24"}, "d_model must be a whole number"),
        ({"vocab_size": 10**15}, "d_vocab"),
    ],
)
def test_configurations_that_cannot_be_computed_are_refused(folder, changes, sentence):
    change_config(folder, **changes)
    with pytest.raises(CheckpointError, match=sentence):
        load(folder)


def test_both_spellings_of_the_rotation_are_read(folder):
    change_config(folder, rope_parameters="absent", rope_theta=777.0, rope_scaling=None)
    assert load(folder).config.rope_theta == 777.0


def test_several_files_with_an_index(folder, monkeypatch):
    from interop import weights
    from interop.hugging_face import describe

    monkeypatch.setattr(weights, "SHARD_BYTES", 10_000)
    found, model = describe(folder), load(folder)
    (folder / "model.safetensors").unlink()
    write_weights(folder, found.family, found.config, model.state_dict())
    assert len(list(folder.glob("model-0000?-of-*.safetensors"))) > 2
    again = load(folder).state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in model.state_dict().items())
    index = folder / "model.safetensors.index.json"
    index.write_text(index.read_text().replace("model-00001-of", "../model-00001-of"))
    with pytest.raises(CheckpointError, match="not a safetensors file beside it"):
        load(folder)


def test_an_export_that_no_family_has_names_the_nearest_and_what_is_in_its_way():
    with pytest.raises(ConfigError, match=r"nearest is .*in its way: .*position alibi"):
        choose_family(FAMILIES, load_preset("olmo"))


def test_a_refused_import_leaves_nothing_behind(folder, tmp_path, capsys):
    with pytest.raises(CheckpointError, match=r"has no tokenizer.json"):
        import_model(folder, tmp_path / "run")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]
    with pytest.raises(RunError, match="not empty"):
        import_model(folder, folder)
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(TextError, match=r"tokenizer.json cannot be used"):
        import_model(folder, tmp_path / "run")
    assert main(["import", str(tmp_path / "nowhere")]) == 2
    assert "There is no folder" in capsys.readouterr().err
    assert main(["export", str(folder), str(tmp_path / "out")]) == 2


def test_the_documentation_lists_every_family():
    page = (Path(__file__).parents[2] / "docs" / "hugging_face.md").read_text(encoding="utf-8")
    told = re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`[^|]*) \|", page, re.MULTILINE)))
    assert sorted(told) == sorted(family.model_type for family in FAMILIES)
