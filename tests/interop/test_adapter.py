"""Adapters as `peft` reads them: on the exported base they give the logits that they give here."""

import json

import pytest
import torch
from peft import PeftModel
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

import train
from config.errors import ConfigError
from config.lora_config import LoraConfig
from interop.adapter import describe, translate
from interop.hugging_face import describe as describe_folder
from interop.hugging_face import load, main
from runs.folder import list_runs
from training.checkpoint import load_model, load_tokenizer_of
from training.lora import adapter_state, add_adapters

TOKENS = torch.randint(0, 67, (2, 17), generator=torch.Generator().manual_seed(1))


def trained_adapters(model, targets="all-linear"):
    """Adapters that do something, as if they had been trained."""
    lora = LoraConfig(lora_rank=3, lora_alpha=6.0, lora_targets=targets)
    add_adapters(model, lora, seed=2)
    generator = torch.Generator().manual_seed(3)
    for tensor in adapter_state(model).values():
        tensor.normal_(0.0, 0.2, generator=generator)
    return lora, adapter_state(model)


@pytest.mark.parametrize("targets", ["all-linear", "attention", "*.down_proj"])
@pytest.mark.parametrize("case", ["gpt2", "llama-gqa-biases", "qwen3", "bloom", "olmo"])
def test_peft_gives_the_same_logits_on_the_same_base(case, targets, their_model, tmp_path):
    _, folder = their_model(case)
    ours = load(folder)
    before = ours(TOKENS)
    lora, adapters = trained_adapters(ours, targets)
    found = describe_folder(folder)
    tensors, transposed = translate(adapters, found.family, found.config)
    save_file(tensors, tmp_path / "adapter_model.safetensors", metadata={"format": "pt"})
    modules = sorted({name.rsplit(".lora_", 1)[0].removeprefix("base_model.model.") for name in tensors})
    (tmp_path / "adapter_config.json").write_text(json.dumps(describe(lora, modules) | {"fan_in_fan_out": transposed}))
    theirs = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager"), tmp_path
    )
    with torch.no_grad():
        logits = theirs.eval()(TOKENS).logits
    assert transposed == (case == "gpt2")
    assert (ours(TOKENS) - before).abs().max() > 0.1  # or the comparison says nothing
    assert (logits - ours(TOKENS)).abs().max() < 1e-4


def test_maps_that_are_joined_with_others_are_refused(their_model):
    _, folder = their_model("phi3")
    model = load(folder)
    _, adapters = trained_adapters(model)
    found = describe_folder(folder)
    with pytest.raises(ConfigError, match=r"phi3 joins blocks.0.mlp.gate_proj with others in one matrix"):
        translate(adapters, found.family, found.config)
    assert translate({k: v for k, v in adapters.items() if "attention" in k}, found.family, found.config)


@pytest.mark.parametrize("architecture", ["GPT", "LLAMA"])
def test_a_run_from_its_start_to_peft(architecture, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tale.txt").write_text("the bell is behind the house\n" * 60)
    (tmp_path / "other.txt").write_text("the house is behind the bell\n" * 60)
    small = ["--architecture", architecture, "--d_model", "16", "--n_layers", "2", "--n_heads", "2", "--d_mlp", "32",
             "--n_ctx", "16", "--eval_iters", "1", "--sample_tokens", "0", "--device", "cpu", "--dtype", "float32",
             "--baselines", "off", "--max_steps", "4", "--text_file", "tale.txt", "--name", "base"]  # fmt: skip
    assert train.main(small) == 0
    assert train.main(["--from", "base", "--text_file", "other.txt", "--lora_rank", "2", "--lr", "0.05"]) == 0
    run = list_runs()[0]
    assert main(["export", str(run.base_path), "hf"]) == 0 and main(["adapter", str(run.path), "peft"]) == 0
    capsys.readouterr()
    theirs = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained("hf"), "peft").eval()
    tokens = torch.tensor([load_tokenizer_of(run.path).encode("the house")])
    with torch.no_grad():
        ours, before = load_model(run.path)(tokens), load_model(run.base_path)(tokens)
        assert (ours - before).abs().max() > 1e-3
        assert (theirs(tokens).logits - ours).abs().max() < 1e-4
    assert main(["import", "hf", "--name", "back"]) == 0  # and an imported model is fine-tuned like any other
    more = ["--text_file", "other.txt", "--max_steps", "3", "--batch_size", "2", "--eval_iters", "1",
            "--sample_tokens", "0", "--device", "cpu", "--baselines", "off"]  # fmt: skip
    for how in ([], ["--lora_rank", "2"]):
        assert train.main(["--from", "back", *more, *how]) == 0
        told = capsys.readouterr().err
        assert "tokenizer: the parent's" in told and "begins at step 0" in told
        assert list_runs()[0].read_config().parent.token_files == ""  # nobody knows the text of imported weights
    assert main(["adapter", "base", "peft2"]) == 2
    assert "has no adapters: export it as a model" in capsys.readouterr().err
