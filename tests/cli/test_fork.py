"""train.py --from: a run that begins from a checkpoint, on the command line."""

import json

import pytest

import infer
import train
from runs.files import read_json, write_json
from runs.folder import list_runs
from runs.state import read_status

TINY = ["--d_model", "16", "--n_layers", "1", "--n_heads", "2", "--d_mlp", "32", "--n_ctx", "16", "--eval_iters", "1",
        "--sample_tokens", "5", "--warmup_steps", "1", "--device", "cpu", "--dtype", "float32", "--baselines", "off",
        "--text_file", "tale.txt", "--max_steps", "6", "--save_interval", "2", "--name", "first"]  # fmt: skip


@pytest.fixture
def first(home):
    """A trained run, and a second text beside it."""
    (home / "tale.txt").write_text("the bell is behind the house\n" * 60)
    (home / "other.txt").write_text("THE BELL IS BEHIND THE HOUSE, the ring too\n" * 40)
    assert train.main(TINY) == 0
    return list_runs()[0]


def assert_refused(capsys, flags, words):
    before = list_runs()
    capsys.readouterr()
    assert train.main(flags) == 2
    said = capsys.readouterr()
    assert words in said.err and "Traceback" not in said.err and said.out == ""
    assert list_runs() == before


def test_a_run_is_continued_on_another_text_with_the_parents_settings(first, capsys):
    capsys.readouterr()
    assert train.main(["--from", "first", "--text_file", "other.txt", "--max_steps", "3", "--name", "second"]) == 0
    said = capsys.readouterr()
    assert "from step 6 of first: begins at step 0 with the parent's weights (the text is another one)" in said.err
    assert "tensors: 15 kept, 1 resized" in said.err
    second = list_runs()[0]
    assert said.out.strip() == str(second.path) and read_status(second).step == 3
    config = second.read_config()
    assert (config.model, config.training.batch_size) == (first.read_config().model, 12)
    assert (config.parent.run, config.parent.step) == (first.id, 6)
    assert read_json(second.origin_path)["parent_run"] == first.id


def test_an_earlier_checkpoint_goes_on_exactly(first, capsys):
    assert train.main(["--from", str(first.step_path(2))]) == 0
    assert "goes on at step 2 with the parent's optimizer" in capsys.readouterr().err
    losses = [
        [line["train_loss_nats"] for line in map(json.loads, run.metrics_path.read_text().splitlines())
         if "train_loss_nats" in line]
        for run in list_runs()
    ]  # fmt: skip
    assert losses[0] == losses[1] and len(losses[0]) == 6


@pytest.mark.parametrize("flags, words", [
    (["--from", "nobody"], "There is no run 'nobody'"),
    (["--from", "first", "--architecture", "LLAMA"], "--from brings its own architecture: leave out architecture"),
    (["--from", "first", "--carry", "all"], "its 6 steps are all of max_steps 6; raise --max_steps to go on"),
    (["--carry", "all"], "name one with --from"),
    (["--from", "first", "--text_file", "none.txt"], "none.txt"),
    (["--from", "first", "--d_model", "17"], "d_model 17 is not divisible by n_heads 2"),
    (["--from", "tale.txt"], "is not a checkpoint"),
    (["--lora_rank", "8"], "lora_rank adapts a trained model: name its checkpoint with --from"),
    (["--from", "first", "--lora_alpha", "8"], "lora_alpha has no effect unless lora_rank is set: leave it out"),
    (["--from", "first", "--lora_rank", "0"], "lora_rank 0 is below 1"),
    (["--from", "first", "--lora_rank", "2", "--lora_targets", "q_proj"], "'q_proj' names no linear map"),
    (["--from", "first", "--lora_rank", "2", "--text_file", "other.txt"], "has tokens that the parent does not know"),
    (["--from", "first", "--lora_rank", "2", "--n_layers", "2"], "blocks.1.attention_norm.weight is new"),
    (["--from", "first", "--lora_rank", "2", "--tokenizer_type", "byte"], "has tokens that the parent does not know"),
])  # fmt: skip
def test_bad_input_is_one_sentence_and_makes_no_run(first, capsys, flags, words):
    assert_refused(capsys, flags, words)


def test_of_an_imported_model_a_text_is_asked_for(first, capsys, home):
    data = read_json(first.data_path)
    write_json(first.data_path, {"name": "x", "d_vocab": data["d_vocab"], "imported": True})
    assert_refused(
        capsys, ["--from", "first"], "first was imported without a text: name one to train on with --text_file"
    )
    assert_refused(capsys, ["--from", "first", "--preflight"], "first was imported without a text")
    assert train.main(["--from", "first", "--text_file", "other.txt", "--n_ctx", "8"]) == 0


@pytest.mark.slow
def test_a_preflight_of_a_fork_tries_the_fork(first, capfd):
    assert train.main(["--from", "first", "--text_file", "other.txt", "--preflight", "--max_steps", "50"]) == 0
    said = capfd.readouterr()
    assert "50 steps of" in said.out and len(list_runs()) == 1


def test_adapters_are_trained_and_written_with_like_any_model(first, capsys):
    flags = ["--from", "first", "--carry", "weights", "--lora_rank", "2", "--lora_targets", "attention"]
    assert train.main([*flags, "--name", "small"]) == 0
    said = capsys.readouterr().err
    assert "adapters: 192 numbers are trained beside" in said and "training 192 of" in said
    run = list_runs()[0]
    assert run.read_config().lora.lora_rank == 2
    assert infer.main(["--checkpoint", "small", "--prompt", "the", "--max_new_tokens", "5", "--greedy"]) == 0
    assert len(capsys.readouterr().out) == len("the") + 5 + 1


def test_pairs_are_learned_from_the_command_line(first, capsys, home):
    rows = "".join(f"the {thing} ring,it is {thing}\n" for thing in ("bell", "house", "nd", "behind") * 5)
    (home / "qa.csv").write_text("prompt,response\n" + rows)
    template = r"the {prompt} is {response}\n\n"
    assert train.main(["--from", "first", "--pairs", "qa.csv", "--n_ctx", "64", "--pair_template", template]) == 0
    said = capsys.readouterr().err
    assert "18 pairs for training in " in said
    run = list_runs()[0]
    assert run.read_config().data.text_kind == "pairs" and read_status(run).state == "finished"


@pytest.mark.parametrize("flags, words", [
    (["--pairs", "none.csv"], "there is no file none.csv"),
    (["--pairs", "tale.txt"], "tale.txt is not a file of pairs: give a .csv or a .jsonl"),
    (["--pairs", "bad.csv"], "line 3 of bad.csv: its field 'response' is empty"),
    (["--pairs", "bad.csv", "--prompt_field", "question"], "line 1 of bad.csv names no column 'question'"),
    (["--pairs", "bad.csv", "--pair_template", "{response}"], "must have {prompt} and after it {response}"),
    (["--text_file", "tale.txt", "--prompt_field", "x"], "prompt_field has no effect unless text_kind is pairs"),
    (["--pairs", "good.csv"], "have prompts of more than n_ctx 16 tokens"),
])  # fmt: skip
def test_bad_pairs_are_refused_in_a_sentence(first, capsys, home, flags, words):
    (home / "bad.csv").write_text("prompt,response\na,b\nc, \n")
    (home / "good.csv").write_text("prompt,response\nthe bell,the house\nthe house,the bell\n")
    assert_refused(capsys, ["--from", "first", *flags], words)
