"""What the product promises of its three architectures, on the real text: slow, so only with `-m slow`."""

import itertools
import json

import pytest
import torch

from config.data_config import DataConfig
from config.presets import load_preset
from config.run_config import RunConfig
from config.train_config import TrainConfig
from runs.folder import create_run
from runs.state import read_status
from text.ngram import ngram_nats
from text.token_file import open_tokens
from training.checkpoint import load_model, load_tokenizer_of
from training.worker import run_worker

pytestmark = pytest.mark.slow
PRESETS, IMPLEMENTATIONS = ("gpt2", "llama", "olmo"), ("einops", "torch", "fused")


def train_tiny(tmp_path, preset: str, implementation: str, **training):
    settings = {
        "eval_iters": 10,
        "sample_tokens": 0,
        "baselines": False,
        "dtype": "float32",
        "device": "cpu",
    } | training
    config = RunConfig(
        model=load_preset(preset, "tiny"),
        implementation=implementation,
        data=DataConfig(text_file="training.txt"),
        training=TrainConfig(**settings),
        preset=preset,
        size="tiny",
    )
    run = create_run(tmp_path, config, {})
    assert run_worker(run) == 0 and read_status(run).state == "finished"
    return run


def lines_of(run, key: str) -> list[float]:
    lines = map(json.loads, run.metrics_path.read_text().splitlines())
    return [line[key] for line in lines if key in line]


@pytest.mark.parametrize("preset", PRESETS)
def test_300_steps_of_a_tiny_model_are_clearly_better_than_a_bigram(tmp_path, preset):
    run = train_tiny(tmp_path, preset, "fused", max_steps=300)
    tokens = tmp_path / ".tokens" / run.read_data()["token_files"]
    splits = open_tokens(tokens / "train.bin"), open_tokens(tokens / "val.bin")
    _, bigram = ngram_nats(*splits, run.read_data()["d_vocab"], orders=2)
    assert lines_of(run, "val_loss_nats")[-1] < bigram - 0.2


@pytest.mark.parametrize("preset", PRESETS)
def test_the_three_implementations_learn_the_same_curve_and_open_each_other_s_checkpoints(tmp_path, preset):
    runs = {how: train_tiny(tmp_path, preset, how, max_steps=60, warmup_steps=10) for how in IMPLEMENTATIONS}
    for key in ("train_loss_nats", "val_loss_nats"):
        reference = lines_of(runs["fused"], key)
        for how in ("einops", "torch"):
            assert lines_of(runs[how], key) == pytest.approx(reference, abs=1e-3)
    tokens = torch.tensor([load_tokenizer_of(runs["fused"].path).encode("The bell of ")])
    for written, read in itertools.permutations(IMPLEMENTATIONS, 2):
        torch.testing.assert_close(
            load_model(runs[written].path, read)(tokens), load_model(runs[written].path)(tokens), atol=1e-4, rtol=1e-4
        )
