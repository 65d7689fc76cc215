"""The way of a person: a run, exported, opened by transformers, imported again, and generated from."""

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

import infer
from interop.hugging_face import main
from runs.folder import RunFolder, list_runs
from runs.state import read_status
from tests.cli.infer_runs import TEXT, make_run
from training.checkpoint import load_model, load_tokenizer_of

END = "<|endoftext|>"
LLAMA = {"position": "rope", "norm": "rmsnorm", "norm_bias": False, "mlp": "swiglu", "qkv_bias": False,
         "attention_out_bias": False, "mlp_bias": False, "n_heads": 4, "n_kv_heads": 2}  # fmt: skip
RUNS = {
    "gpt2-character": {"tokenizer_type": "character"},
    "gpt2-byte": {"tokenizer_type": "byte", "special_tokens": [END]},
    "llama-bpe": {"tokenizer_type": "bpe", "special_tokens": [END], **LLAMA},
    "llama-sentencepiece": {"tokenizer_type": "sentencepiece", "special_tokens": [END], "vocab_size": 290, **LLAMA},
    "llama-character": {"tokenizer_type": "character", "special_tokens": [END], **LLAMA},
    "qwen2-character": {"tokenizer_type": "character", "special_tokens": [END], **LLAMA, "qkv_bias": True},
}


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("case", RUNS)
def test_a_run_goes_out_and_comes_back(case, home, capsys):
    run = make_run(home / "checkpoints", name="my model", **RUNS[case])
    assert main(["export", "my model", "hf/out"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "hf/out\n"
    assert f"written as {case.split('-')[0]}" in captured.err

    model, tokenizer = load_model(run.path), load_tokenizer_of(run.path)
    theirs = AutoModelForCausalLM.from_pretrained("hf/out", dtype=torch.float32)
    opener = PreTrainedTokenizerFast if "PreTrainedTokenizerFast" in captured.err else AutoTokenizer
    assert (opener is PreTrainedTokenizerFast) == case.startswith("qwen2")
    their_tokenizer = opener.from_pretrained("hf/out")
    text = TEXT[:60]
    ids = tokenizer.encode(text)
    assert their_tokenizer(text)["input_ids"] == ids
    assert their_tokenizer.decode(ids) == text
    assert their_tokenizer.eos_token_id == theirs.config.eos_token_id == tokenizer.end_of_text
    tokens = torch.tensor([ids[:16]])
    with torch.no_grad():
        assert (theirs(tokens).logits - model(tokens)).abs().max() < 1e-4

    assert main(["import", "hf/out"]) == 0
    imported = RunFolder(home / capsys.readouterr().out.splitlines()[-1])
    assert imported.read_label().name == "out"
    assert read_status(imported).state == "finished"
    assert {found.path for found in list_runs(home / "checkpoints")} == {run.path, imported.path}
    back = load_model(imported.path).state_dict()
    assert all(torch.equal(tensor, back[name]) for name, tensor in model.state_dict().items())
    assert load_tokenizer_of(imported.path).type == tokenizer.type
    assert load_tokenizer_of(imported.path).encode(text) == ids
    written = []
    for checkpoint in ("my model", "out"):
        assert infer.main(["--checkpoint", checkpoint, "--prompt", "To be", "--greedy", "--max_new_tokens", "9"]) == 0
        written.append(capsys.readouterr().out)
    assert written[0] == written[1]


def test_an_import_goes_where_it_is_told(home, capsys):
    make_run(home / "checkpoints", name="mine")
    assert main(["export", "mine", "hf/out"]) == 0
    assert main(["import", "hf/out", "here/somewhere"]) == 0
    assert infer.main(["--checkpoint", "here/somewhere", "--prompt", "To", "--max_new_tokens", "3"]) == 0
    assert main(["import", "hf/out", "here/somewhere"]) == 2
    assert "not empty" in capsys.readouterr().err
    assert [path.name for path in (home / "here").iterdir()] == ["somewhere"]


def test_the_same_name_is_numbered(home, capsys):
    make_run(home / "checkpoints", name="mine")
    main(["export", "mine", "mine-too"])
    main(["import", "mine-too"])
    main(["import", "mine-too"])
    names = {run.read_label().name for run in list_runs(home / "checkpoints")}
    assert names == {"mine", "mine-too", "mine-too-2"}


def test_the_folder_of_a_model_is_no_run_and_that_is_told(home, capsys):
    make_run(home / "checkpoints", name="mine")
    main(["export", "mine", "out"])
    assert infer.main(["--checkpoint", "out", "--prompt", "To"]) == 2
    assert "is a model from Hugging Face and no run: make one of it" in capsys.readouterr().err
