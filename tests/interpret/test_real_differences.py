"""Is it real?, on trained models: scores that agree with the run's own, texts that suit both, bounds, the command line.

Slow tests hold the promises of interpret/paired_difference.py and interpret/over_seeds.py on models and seeds that were
really trained.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from config.data_config import DataConfig
from config.errors import TextError
from config.model_config import ModelConfig
from config.parent import Carried
from config.run_config import RunConfig
from config.train_config import TrainConfig
from interpret import __main__ as command_line
from interpret.common_text import Text, common_text
from interpret.compare_checkpoints import compare_checkpoints
from interpret.over_seeds import over_seeds
from interpret.paired_difference import paired_difference
from interpret.token_losses import token_losses
from runs.checkpoints import choose
from runs.folder import RunFolder, create_run
from runs.fork import describe_parent
from text.storyteller import write
from training.checkpoint import load_model, load_tokenizer_of
from training.worker import run_worker

MODEL = {"d_model": 16, "n_layers": 1, "n_heads": 2, "d_mlp": 32, "n_ctx": 16}
TRAINING = {
    "max_steps": 8, "batch_size": 4, "warmup_steps": 2, "eval_interval": 8, "eval_iters": 1, "save_interval": 8,
    "sample_tokens": 0, "device": "cpu", "dtype": "float32", "lr": 1e-2, "baselines": False,
}  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("compare")
    write(folder / "tale.txt", 0.04, seed=1)
    return folder


def train(place: Path, name: str, model: dict | None = None, data: dict | None = None, **training) -> RunFolder:
    config = RunConfig(
        model=ModelConfig(**(MODEL | (model or {}))),
        data=DataConfig(**({"text_file": str(place / "tale.txt")} | (data or {}))),
        training=TrainConfig(**(TRAINING | training)),
    )
    run = create_run(place / "checkpoints", config, {}, name)
    assert run_worker(run) == 0
    return run


@pytest.fixture(scope="module")
def runs(place) -> dict[str, RunFolder]:
    torch.set_num_threads(1)
    return {
        "one": train(place, "one"),
        "other": train(place, "other", seed=5, max_steps=4, eval_interval=4),
        "bytes": train(place, "bytes", {"n_ctx": 24}, {"tokenizer_type": "byte"}),
        "pieces": train(place, "pieces", data={"tokenizer_type": "bpe", "vocab_size": 300}),
        "shorter": train(place, "shorter", data={"val_fraction": 0.05}),
        "part": train(place, "part", data={"data_size": "0.5"}),
    }


def of_split(run: RunFolder) -> dict[str, float]:
    """What the run itself has measured on its whole validation text, at its end."""
    lines = [json.loads(line) for line in run.metrics_path.read_text().splitlines()]
    return next(line for line in lines if "val_split_loss_nats" in line)


def test_of_one_tokenizer_the_losses_are_those_of_the_runs(runs):
    found = compare_checkpoints(choose(runs["one"]), choose(runs["other"]))
    assert found.difference.unit == "nats per token"
    for loss, name in zip(found.losses, ("one", "other"), strict=True):
        assert loss == pytest.approx(of_split(runs[name])["val_split_loss_nats"], abs=1e-5)
    assert found.difference.count == of_split(runs["one"])["val_split_tokens"]
    assert found.difference.mean == pytest.approx(found.losses[1] - found.losses[0])
    assert found.difference.real and found.difference.mean > 0  # half as many steps
    assert found.coverage.startswith("all ") and found.text.note == ""


@pytest.mark.parametrize("other", ["bytes", "pieces"])
def test_of_two_tokenizers_the_losses_are_bits_of_the_same_bytes(runs, other):
    found = compare_checkpoints(choose(runs["one"]), choose(runs[other]))
    assert found.difference.unit == "bits per byte"
    for loss, name in zip(found.losses, ("one", other), strict=True):
        # the run itself also counts the few bytes before the longer first token
        assert loss == pytest.approx(of_split(runs[name])["val_split_bits_per_byte"], rel=0.003)
    back = compare_checkpoints(choose(runs[other]), choose(runs["one"]))
    assert back.difference.mean == pytest.approx(-found.difference.mean, abs=1e-9)


def test_the_text_is_one_that_neither_was_trained_on(runs):
    of_one = (runs["one"].path.parent.parent / "tale.txt").read_bytes()
    whole, shorter = (common_text(runs["one"], runs[name]).content for name in ("other", "shorter"))
    assert of_one.endswith(whole) and of_one.endswith(shorter) and len(shorter) < 0.6 * len(whole)
    found = common_text(runs["part"], runs["one"])  # the half ends where the whole still trains
    assert found.content == whole and found.note.startswith("part was trained on another text")
    assert found == common_text(runs["one"], runs["part"])


def begin(parent: RunFolder, name: str, carried: Carried = "weights", max_steps: int = 8) -> RunFolder:
    """A run with the weights of another, on the text of all."""
    before = parent.read_config()
    config = replace(
        before,
        data=DataConfig(text_file=str(parent.path.parent.parent / "tale.txt")),
        training=before.training.replace(max_steps=max_steps),
        parent=describe_parent(choose(parent), carried),
    )
    run = create_run(parent.path.parent, config, {}, name)
    assert run_worker(run) == 0
    return run


def test_what_the_weights_have_read_before_is_said(runs, place):
    (place / "other.txt").write_text((place / "tale.txt").read_text()[::-1])
    elsewhere = train(place, "elsewhere", data={"text_file": str(place / "other.txt")})
    child, longer, known = (begin(parent, name) for parent, name in
                            ((elsewhere, "child"), (runs["shorter"], "longer"), (runs["one"], "known")))  # fmt: skip
    grandchild = begin(child, "grandchild")
    longest = begin(begin(child, "went-on", "all", max_steps=9), "longest")
    for run in (child, longer, grandchild, longest):  # of another text, and of more of this one
        note = common_text(runs["one"], run).note
        assert note.startswith(f"{run.read_label().name} began with weights of another training")
    assert common_text(runs["one"], known).note == ""


def test_without_token_files_a_text_is_asked_for(runs, place):
    lone = train(place, "lone", max_steps=2)
    data = lone.read_data()
    lone.data_path.write_text(json.dumps(data | {"token_files": "../.tokens"}))
    with pytest.raises(TextError, match="neither run has its validation text any more"):
        common_text(lone, lone)
    assert common_text(lone, runs["one"]).name == "the validation text of one"


def test_a_text_that_one_cannot_read_is_refused_with_the_name(runs):
    text = Text("The wolf said: Ω. ".encode() * 100, "greek.txt")
    with pytest.raises(TextError, match=r"one cannot read this text: .*Ω"):
        compare_checkpoints(choose(runs["bytes"]), choose(runs["one"]), text)


def test_time_and_a_stop_end_it(runs, monkeypatch):
    monkeypatch.setattr("interpret.token_losses.TOKENS_AT_ONCE", 64)
    paths = choose(runs["one"]), choose(runs["other"])
    with pytest.raises(TextError, match="too few"):
        compare_checkpoints(*paths, limit_seconds=0)  # one batch each
    monkeypatch.setattr("interpret.token_losses.TOKENS_AT_ONCE", 1_024)
    found = compare_checkpoints(*paths, limit_seconds=0)
    assert found.difference.count == 1_024 and found.coverage.startswith("the first 1,025 of ")
    heard = []
    assert compare_checkpoints(*paths, say=lambda share: heard.append(share) or len(heard) < 3) is None
    assert len(heard) == 4 and heard == sorted(heard)  # the batch that was stopped, and no second model


def call(capsys, *arguments: str):
    status = command_line.main(["compare", *arguments])
    out, err = capsys.readouterr()
    return status, out, err


def test_the_command_says_it_in_sentences_and_as_json(runs, capsys):
    folder = str(runs["one"].path.parent)
    status, out, err = call(capsys, "one", str(choose(runs["other"])), "--checkpoints", folder)
    assert (status, err) == (0, "") and "one (step 8) is better than other (step 4)" in out
    assert out.startswith("one (step 8): ") and " nats per token\n" in out and "bytes of the validation text of" in out
    status, out, _ = call(capsys, "one", "other", "--checkpoints", folder, "--json")
    record = json.loads(out)
    assert record["real"] is True and record["low"] > 0 and record["unit"] == "nats per token"
    status, out, _ = call(capsys, "one", "bytes", "--checkpoints", folder, "--text_file", f"{folder}/../tale.txt")
    assert status == 0 and "bytes of tale.txt" in out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["one", "one"], "Both are the same checkpoint"),
        (["one", "nobody"], "There is no run 'nobody'"),
        (["one", "other", "--text_file", "missing.txt"], "missing.txt"),
    ],
)
def test_what_cannot_be_compared_is_one_sentence(runs, capsys, arguments, sentence):
    status, out, err = call(capsys, *arguments, "--checkpoints", str(runs["one"].path.parent))
    assert (status, out) == (2, "") and sentence in err and err.count("\n") == 1


# --- promises, on real models and seeds ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def seeds(tmp_path_factory) -> list[RunFolder]:
    """Ten trainings that differ in their seed alone."""
    torch.set_num_threads(1)
    place = tmp_path_factory.mktemp("seeds")
    write(place / "tale.txt", 0.4, seed=2)
    model = {"d_model": 32, "n_layers": 2, "d_mlp": 64, "n_ctx": 32}
    small = {"max_steps": 150, "batch_size": 8, "eval_interval": 150, "save_interval": 150}
    return [train(place, f"seed-{seed}", model, seed=seed, **small) for seed in range(10)]


@pytest.mark.slow
def test_what_a_part_of_a_text_says_agrees_with_the_whole(seeds):
    """Two seeds are two models: here their true difference is the one on all of the text, of which each part is a
    sample. The interval of a part must have it inside, in at least 95 % of parts, also over other pairs."""
    content = common_text(seeds[0], seeds[1]).content.decode()
    losses = []
    for run in seeds[:4]:
        tokens = load_tokenizer_of(run.path).encode_array(content)
        config = run.read_model_config()
        losses.append(token_losses(load_model(choose(run)), tokens, n_ctx=config.n_ctx, d_vocab=config.d_vocab))
    rng = np.random.default_rng(0)
    missed = []
    for first, second in ((0, 1), (0, 2), (1, 3), (2, 3)):
        truth = (losses[second] - losses[first]).mean()
        for start in rng.integers(0, len(losses[0]) - 2_000, 100):
            part = slice(start, start + 2_000)
            found = paired_difference(losses[first][part], losses[second][part])
            missed.append(not found.low <= truth <= found.high)
    assert np.mean(missed) <= 0.05


@pytest.mark.slow
def test_seeds_of_one_configuration_are_called_different_in_at_most_five_percent(seeds):
    """A/A: ten trainings of one configuration, divided at random into two sides of three."""
    losses = np.array([of_split(run)["val_split_bits_per_byte"] for run in seeds])
    rng = np.random.default_rng(1)
    called = []
    for _ in range(400):
        drawn = losses[rng.permutation(len(losses))[:6]]
        called.append(over_seeds(drawn[:3], drawn[3:]).real)
    assert np.mean(called) <= 0.05
