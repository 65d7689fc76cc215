"""Runs with untrained models for the tests of infer.py, and ways to call it."""

import os
import subprocess
import sys
from pathlib import Path

from safetensors.torch import save_file

import infer
from components.model import build_model
from config.model_config import ModelConfig
from config.run_config import RunConfig
from runs.checkpoints import WEIGHTS, write_commit
from runs.files import write_json
from runs.folder import create_run
from text.tokenizer_types import train_tokenizer

ROOT = Path(__file__).parent.parent.parent
TEXT = "To be, or not to be: that is the question.\nnaïve 漢字 🙂 " * 20


def make_run(
    checkpoints,
    *,
    tokenizer_type="character",
    steps=((2, 3.0),),
    name="hopeful heron",
    text=TEXT,
    special_tokens=(),
    vocab_size=260,
    **fields,
):
    """A run as the worker leaves it, with an untrained model; `steps` are (step, validation loss)."""
    tokenizer = train_tokenizer(tokenizer_type, text, vocab_size, special_tokens=special_tokens)
    model = ModelConfig(**{"d_model": 16, "n_layers": 1, "n_heads": 2, "d_mlp": 32, "n_ctx": 16} | fields)
    run = create_run(checkpoints, RunConfig(model=model), {"seed": 1}, name=name)
    tokenizer.save(run.tokenizer_path)
    write_json(run.data_path, {"d_vocab": tokenizer.vocab_size})
    for step, loss in steps:
        weights = build_model(model.replace(d_vocab=tokenizer.vocab_size), seed=step).state_dict()
        run.step_path(step).mkdir()
        save_file(weights, run.step_path(step) / WEIGHTS)
        write_commit(run.step_path(step), step=step, val_loss_nats=loss)
    return run


def call(*arguments):
    return infer.main([str(argument) for argument in arguments])


def start(*arguments, **options):
    command = [sys.executable, str(ROOT / "infer.py"), *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, **options)


def refused(capsys, *arguments):
    """The one sentence that a refused command line gets."""
    assert call(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("infer.py: ")
    return line
