"""SIGKILL at any moment, a save included, then resume: the curve is that of the undisturbed run, bit for bit."""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from config.lora_config import LoraConfig
from runs.checkpoints import COMMIT, list_checkpoints
from runs.folder import RunFolder
from runs.state import read_status

ROOT = Path(__file__).resolve().parents[2]
CLOCKS = ("elapsed_seconds", "tokens_per_second")
FILES = ("model.safetensors", "optimizer.safetensors")

# Saves after every third step, so that many kills fall into a save or close to one.
TRAINING = {
    "max_steps": 240,
    "eval_interval": 50,
    "save_interval": 3,
    "keep_checkpoints": 2,
    "sample_tokens": 3,
    "eval_iters": 1,
}
SHAPES = {
    "gpt": {"position": "learned", "dropout": 0.2},
    "llama": {"position": "rope", "norm": "rmsnorm", "mlp": "swiglu", "dropout": 0.1, "norm_bias": False},
    "olmo": {"position": "rope", "mlp": "swiglu", "dropout": 0.1, "norm_bias": False, "qkv_bias": False},
}
TOKENIZERS = {
    "character": {"tokenizer_type": "character"},
    "byte": {"tokenizer_type": "byte"},
    "bpe": {"tokenizer_type": "bpe", "vocab_size": 280},
    "sentencepiece": {"tokenizer_type": "sentencepiece", "vocab_size": 290},
}


def start(run: RunFolder, threads: int = 1) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), "--run", str(run.path)], cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": str(threads)},
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


def finish(run: RunFolder, threads: int = 1) -> None:
    process = start(run, threads)
    assert process.communicate(timeout=300)[1] is not None and process.returncode == 0


def curve(run: RunFolder) -> list[dict]:
    """All of metrics.jsonl but the clocks, the floats as hexadecimal."""
    lines = [json.loads(line) for line in run.metrics_path.read_text().splitlines()]
    return [
        {key: value.hex() if isinstance(value, float) else value for key, value in line.items() if key not in CLOCKS}
        for line in lines
    ]


def assert_same_end(one: RunFolder, other: RunFolder) -> None:
    assert curve(one) == curve(other)
    assert one.samples_path.read_bytes() == other.samples_path.read_bytes()
    last = one.step_path(TRAINING["max_steps"]).name
    for file in FILES:
        assert (one.path / last / file).read_bytes() == (other.path / last / file).read_bytes()


def kill_and_resume(run: RunFolder, kills: int, seed: int, threads: int = 1) -> int:
    """Train to the end through `kills` kills at random moments of training or saving; how many hit a live worker."""
    rng, hits = random.Random(seed), 0
    for _ in range(kills):
        saved = set(run.path.glob("step_*/commit.json"))
        process = start(run, threads)
        # Wait for a new checkpoint, so that the run gets on, then for a random moment within the next few steps.
        while process.poll() is None and saved.issuperset(run.path.glob("step_*/commit.json")):
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.06))
        process.kill()
        process.communicate()
        if process.returncode == 0:  # it was faster
            break
        hits += 1
        assert read_status(run).state == "orphaned"
        promised = [info for info in list_checkpoints(run) if (info.path / COMMIT).exists()]
        assert promised and all(info.ok for info in promised)
    finish(run, threads)
    return hits


def test_ten_kills_leave_no_trace(make_run):
    undisturbed, killed = (make_run(training=TRAINING, model=SHAPES["llama"]) for _ in range(2))
    finish(undisturbed)
    assert kill_and_resume(killed, kills=10, seed=1) == 10
    assert_same_end(undisturbed, killed)
    assert not list(killed.path.glob(".step_*"))  # what killed saves left is swept


@pytest.mark.slow
@pytest.mark.parametrize("tokenizer", TOKENIZERS)
@pytest.mark.parametrize("shape", SHAPES)
def test_two_hundred_kills_over_every_architecture_and_tokenizer(make_run, shape, tokenizer):
    """17 kills in each of 12 combinations, with dropout and accumulation: 204."""
    settings = {
        "training": TRAINING | {"grad_accumulation": 2}, "model": SHAPES[shape], "data": TOKENIZERS[tokenizer]
    }  # fmt: skip
    undisturbed, killed = make_run(**settings), make_run(**settings)
    finish(undisturbed)
    assert kill_and_resume(killed, kills=17, seed=len(shape) * len(tokenizer)) == 17
    assert_same_end(undisturbed, killed)


@pytest.mark.slow
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("implementation", ["einops", "torch", "fused"])
def test_kills_leave_no_trace_in_two_threads(make_run, implementation, compiled):
    """Large enough for kernels to share their work, where a sum may depend on which thread comes first."""
    shape = {"d_model": 128, "n_heads": 4, "d_mlp": 512, "n_ctx": 64, "dropout": 0.1}
    settings = {
        "training": TRAINING | {"batch_size": 12, "compile": compiled, "dtype": "auto"},
        "model": shape, "implementation": implementation,
    }  # fmt: skip
    undisturbed, killed = make_run(**settings), make_run(**settings)
    finish(undisturbed, threads=2)
    assert kill_and_resume(killed, kills=3, seed=7, threads=2) == 3
    assert_same_end(undisturbed, killed)


@pytest.mark.slow
def test_kills_leave_no_trace_in_a_fine_tuning_of_adapters(make_run, begin):
    """With what is forgotten scored beside, dropout in adapters, and pairs in packed rows."""
    parent = make_run(model={"n_ctx": 64, "position": "rope"}, data={"tokenizer_type": "byte"})
    finish(parent)
    pairs = parent.path.parent.parent / "qa.csv"
    pairs.write_text("prompt,response\n" + "".join(f"Where is {n}?,It is behind {n * n}.\n" for n in range(40)))
    lora = LoraConfig(lora_rank=4, lora_dropout=0.2)
    data = {"text_file": str(pairs), "text_kind": "pairs"}
    undisturbed, killed = (begin(parent, data=data, lora=lora, training=TRAINING) for _ in range(2))
    finish(undisturbed)
    assert kill_and_resume(killed, kills=10, seed=4) == 10
    assert_same_end(undisturbed, killed)
