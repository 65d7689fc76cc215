"""LoRA beside a full fine-tuning of the same checkpoint: time of a step, moments, gradients, size of a checkpoint.

    python -m benchmarks.lora                      (tiny and small, rank 8 on every linear map; about 3 minutes)
    python -m benchmarks.lora --shapes small --rank 64 --targets attention --threads 1

All sides make real steps (`Trainer.update`: batch, loss, backward, clipping, AdamW, metrics) on the same batches in one
process, a few each in turn, in rotating order. A ratio is the median of the ratios of the rounds, so that a machine
that is busy for a while disturbs all sides. "full again" is a second full fine-tuning: it reads 1.00, give or take the
noise. Sizes are counted, not measured: bytes of the tensors that exist after a step.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch

from config.data_config import DataConfig
from config.lora_config import LoraConfig
from config.presets import load_preset
from config.run_config import RunConfig
from config.train_config import TrainConfig
from runs.folder import RunFolder, create_run
from training.fork import build_run_model, fork
from training.prepare import prepare_text
from training.trainer import Trainer

SHAPES = ("tiny", "small")
STEPS = {"tiny": 8, "small": 1}  # of a side in a round
WARM_UP_ROUNDS = 3
FULL, AGAIN, LORA = "full", "full again", "lora"


def make_base(folder: Path, shape: str, dtype: str) -> RunFolder:
    """A run with one checkpoint: what the sides begin from."""
    training = TrainConfig(max_steps=10**6, eval_interval=10**6, save_interval=10**6, device="cpu", dtype=dtype,
                           baselines=False)  # fmt: skip
    config = RunConfig(model=load_preset("llama", shape), training=training, data=DataConfig(data_size="200k"))
    run = create_run(folder, config, {"command": ["benchmark"]})
    trainer = begin(run)
    trainer.update()
    trainer.save()
    return run


def begin(run: RunFolder) -> Trainer:
    """The trainer of a run, as its worker makes it."""
    config = run.read_config()
    text = prepare_text(run, config)
    return Trainer(run, config, build_run_model(run, config), text, lambda line: None)


def tune(base: RunFolder, lora: LoraConfig) -> Trainer:
    """A fine-tuning of the base, on its own text: the same batches for every side."""
    before = base.read_config()
    config = RunConfig(model=before.model, training=before.training, data=before.data, lora=lora)
    config, _ = fork(config, base.step_path(1), "weights")
    return begin(create_run(base.path.parent, config, {"command": ["benchmark"]}))


def measure(sides: dict[str, Trainer], steps: int, seconds: float) -> dict[str, list[float]]:
    """Seconds of a step of each side, round after round."""
    names, times = list(sides), {name: list[float]() for name in sides}
    started, rounds = time.perf_counter(), 0
    while rounds < WARM_UP_ROUNDS or time.perf_counter() - started < seconds:
        for name in names[rounds % len(names) :] + names[: rounds % len(names)]:
            before = time.perf_counter()
            for _ in range(steps):
                sides[name].update()
            if rounds >= WARM_UP_ROUNDS:
                times[name].append((time.perf_counter() - before) / steps)
        rounds += 1
    return times


def sizes(trainer: Trainer) -> dict[str, int]:
    """Bytes of moments, of gradients and of a checkpoint's weights."""
    moments = trainer.optimizer.state_tensors()
    held = {name: tensor for name, tensor in moments.items() if not name.endswith("/step")}
    trained = [parameter for parameter in trainer.model.parameters() if parameter.requires_grad]
    trainer.save()
    step = trainer.run.step_path(trainer.progress.step)
    return {
        "moments": sum(tensor.numel() * tensor.element_size() for tensor in held.values()),
        "gradients": sum(parameter.numel() * parameter.element_size() for parameter in trained),
        "checkpoint": sum(file.stat().st_size for file in step.iterdir()),
    }


def report(shape: str, sides: dict[str, Trainer], times: dict[str, list[float]]) -> None:
    """A table for one shape."""
    model = sides[LORA].model
    total = sum(parameter.numel() for parameter in model.parameters())
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    share = trained / (total - trained)
    print(f"\nLLaMA {shape}: {trained:,} trained beside {total - trained:,} frozen, {share:.2%} as many")
    for name, found in times.items():
        ratios = [own / full for own, full in zip(found, times[FULL], strict=True)]
        print(f"  {name:11} step {1_000 * statistics.median(found):7.1f} ms   {statistics.median(ratios):.3f} x full")
    full, lora = sizes(sides[FULL]), sizes(sides[LORA])
    for what, size in full.items():
        print(f"  {what:11} full {size / 1e6:8.2f} MB   lora {lora[what] / 1e6:8.2f} MB   {lora[what] / size:.2%}")


def main() -> None:
    """Print a table for each shape."""
    parser = argparse.ArgumentParser(description="LoRA against full fine-tuning: time, memory, size of checkpoints.")
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=SHAPES)
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--targets", default="all-linear")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=60.0, help="of measuring, for each shape")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    for shape in given.shapes:
        with tempfile.TemporaryDirectory(prefix="lora-") as folder:
            base = make_base(Path(folder), shape, given.dtype)
            lora = LoraConfig(lora_rank=given.rank, lora_targets=given.targets)
            sides = {name: tune(base, lora if name == LORA else LoraConfig()) for name in (FULL, LORA, AGAIN)}
            report(shape, sides, measure(sides, STEPS[shape], given.seconds))


if __name__ == "__main__":
    main()
