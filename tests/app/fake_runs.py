"""Run folders made by hand: what a worker would have written, in milliseconds."""

import json
import math
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from config.data_config import DataConfig
from config.presets import load_preset
from config.run_config import RunConfig
from config.train_config import TrainConfig
from runs.files import write_json
from runs.folder import RunFolder, create_run
from runs.lock import RunLock
from runs.state import StateWriter

TEXT = "First Citizen: we are small, and we know it.\nSecond Citizen: speak on, friend; the night is long.\n"
PROMPT = "First"


def make_run(
    checkpoints: Path,
    *,
    steps: int = 300,
    state: str = "finished",
    max_steps: int | None = None,
    preset: str = "llama",
    name: str | None = None,
    reason: str = "",
    evaluate_every: int = 100,
    **status: Any,
) -> RunFolder:
    """A run with metrics, evaluations, samples, baselines and a log, in the given state."""
    training = TrainConfig(max_steps=max_steps or max(1, steps), warmup_steps=0, eval_interval=evaluate_every)
    config = RunConfig(
        model=load_preset(preset, "tiny").replace(d_model=32, n_layers=2, n_heads=2, d_mlp=64, n_ctx=32),
        data=DataConfig(), training=training, preset=preset, size="tiny",
    )  # fmt: skip
    run = create_run(checkpoints, config, {"launcher": "test"}, name=name)
    write_metrics(run, steps, evaluate_every)
    write_json(run.baselines_path, {"uniform_nats": 3.3, "ngram_2_nats": 2.4, "ngram_4_nats": 1.7, "gzip_nats": 2.05})
    run.log_path.write_text("loading\n" + "".join(f"step {n} loss {loss_at(n):.3f}\n" for n in range(1, 40)))
    write_state(run, state, step=steps, max_steps=training.max_steps, reason=reason, **status)
    return run


@contextmanager
def alive(run: RunFolder, *states: str) -> Iterator[StateWriter]:
    """The run as it looks while a worker holds it."""
    run.state_path.unlink(missing_ok=True)
    with RunLock(run):
        writer = StateWriter(run)
        for state in ("queued", "starting", *states):
            writer.set(state, step=300, max_steps=2_000)
        yield writer


def write_state(run: RunFolder, state: str, **values: Any) -> None:
    """state.json as a worker that is gone by now left it."""
    write_json(run.state_path, {"state": state, "attempt": 1, "pid": 1, "heartbeat": 1e9, **values})


def loss_at(step: int) -> float:
    """A curve that looks like learning."""
    return 1.55 + 2.2 * math.exp(-step / 120)


def write_metrics(run: RunFolder, steps: int, evaluate_every: int) -> None:
    """metrics.jsonl and samples.jsonl with `steps` steps."""
    noise = random.Random(0)
    lines, texts = [], []
    for step in range(steps + 1):
        if step:
            lines.append(step_line(step, steps, noise))
        if step % evaluate_every == 0 or step == steps:
            loss = loss_at(step) + 0.05
            lines.append({"step": step, "val_loss_nats": loss, "val_bits_per_byte": loss / math.log(2)})
            texts.append({"step": step, "prompt": "\n", "text": sample_at(step)})
    run.metrics_path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    run.samples_path.write_text("".join(json.dumps(text) + "\n" for text in texts))


def step_line(step: int, steps: int, noise: random.Random) -> dict[str, float]:
    return {
        "step": step,
        "tokens_seen": step * 768,
        "elapsed_seconds": step * 0.03,
        "train_loss_nats": loss_at(step) + noise.gauss(0, 0.08),
        "learning_rate": 1e-3 * min(1.0, step / 100) * (0.55 + 0.45 * math.cos(math.pi * step / steps)),
        "grad_norm": 0.6 + abs(noise.gauss(0, 0.25)),
        "tokens_per_second": 24_000 + noise.gauss(0, 600),
    }


def sample_at(step: int) -> str:
    """Gibberish that clears up."""
    noise = random.Random(step)
    wrong = math.exp(-step / 150)
    return "".join(noise.choice("etaoin shrdlu\n") if noise.random() < wrong else letter for letter in TEXT * 2)


def add_checkpoint(run: RunFolder, step: int = 300, val_loss_nats: float = 1.7, seed: int = 0) -> Path:
    """A real checkpoint with the weights of an untrained model, and the run's tokenizer."""
    import torch
    from safetensors.torch import save_file

    from components.model import build_model
    from runs.checkpoints import write_commit
    from text.tokenizer_types import train_tokenizer

    torch.set_num_threads(1)
    tokenizer = train_tokenizer("character", TEXT, 0, val_fraction=0.0)
    tokenizer.save(run.tokenizer_path)
    write_json(run.data_path, {"d_vocab": tokenizer.vocab_size, "name": "training.txt"})
    folder = run.step_path(step)
    folder.mkdir()
    model = build_model(run.read_model_config(), seed=seed)
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, folder / "model.safetensors")
    write_commit(folder, step=step, val_loss_nats=val_loss_nats)
    return folder
