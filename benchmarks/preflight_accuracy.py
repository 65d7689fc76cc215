"""How well the pre-flight foretells a run: python -m benchmarks.preflight_accuracy.

For each of ten configurations: a pre-flight, then the very run through `train.py`, one after the other. Printed are
time and peak memory, foretold and real, and their ratios; below, how many of the ratios are within 15 %. The machine
should do nothing else meanwhile.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from config.data_config import DataConfig
from config.presets import load_preset
from config.run_config import RunConfig
from config.train_config import TrainConfig
from runs.folder import create_run
from training.preflight import measure

ROOT = Path(__file__).resolve().parent.parent
TOLERANCE = 0.15
# preset, size, changes to the model, to the training, to the data
Changes = dict[str, Any]
CONFIGURATIONS: list[tuple[str, str, Changes, Changes, Changes]] = [
    ("gpt2", "tiny", {}, {}, {}),
    ("llama", "tiny", {}, {}, {}),
    ("olmo", "tiny", {}, {"batch_size": 32}, {}),
    ("gpt2", "tiny", {"n_ctx": 256}, {}, {}),
    ("llama", "tiny", {}, {"grad_accumulation": 4}, {}),
    ("gpt2", "tiny", {"d_model": 256, "d_mlp": 1024}, {}, {}),
    ("llama", "tiny", {"dropout": 0.1}, {}, {"tokenizer_type": "bpe", "vocab_size": 1024}),
    ("olmo", "tiny", {"n_layers": 8}, {"eval_interval": 20}, {}),
    ("gpt2", "tiny", {"d_model": 64, "d_mlp": 256}, {"batch_size": 64}, {"tokenizer_type": "byte"}),
    ("llama", "small", {}, {"batch_size": 8}, {}),
]


def main() -> int:
    """One line for each configuration."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=45.0, help="How long each run should train. Default 45.")
    parser.add_argument("--only", type=int, help="Number of the one configuration to try.")
    arguments = parser.parse_args()
    ratios: dict[str, list[float]] = {"time": [], "memory": []}
    for number, (preset, size, *changes) in enumerate(CONFIGURATIONS):
        if arguments.only in (None, number):
            with tempfile.TemporaryDirectory() as folder:
                told = compare(make_config(preset, size, *changes), Path(folder), arguments.seconds, ratios)
            print(f"{number}  {preset:5} {size:5} {changes!s:90}  {told}", flush=True)
    for what, found in ratios.items():
        within = sum(abs(ratio - 1) <= TOLERANCE for ratio in found)
        print(f"{what}: {within} of {len(found)} within 15 %, median ratio {statistics.median(found):.3f}")
    return 0


def make_config(preset: str, size: str, model: Changes, training: Changes, data: Changes) -> RunConfig:
    """A run without baselines, of a length that is set later."""
    return RunConfig(
        model=load_preset(preset, size).replace(**model),
        training=TrainConfig.from_dict({"baselines": False} | training),
        data=DataConfig.from_dict({"text_file": str(ROOT / "training.txt")} | data),
    )


def compare(config: RunConfig, checkpoints: Path, seconds: float, ratios: dict[str, list[float]]) -> str:
    """Foretell, then do."""
    rough = measure(config, checkpoints, seconds=2.0)
    assert rough.timings
    steps = max(20, int(seconds / statistics.median(rough.timings.step_seconds)))
    config = RunConfig(model=config.model, data=config.data, training=config.training.replace(max_steps=steps))
    told = measure(config, checkpoints)
    assert told.timings
    run = create_run(checkpoints, config, {})
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), "--run", str(run.path)], stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    _, status, usage = os.wait4(process.pid, 0)
    took, peak_bytes = time.perf_counter() - started, 1024 * usage.ru_maxrss
    assert status == 0, f"the run failed: {run.path}"
    foretold_mb, real_mb = told.timings.peak_bytes / 1e6, peak_bytes / 1e6
    ratios["time"].append(told.eta_seconds() / took)
    ratios["memory"].append(foretold_mb / real_mb)
    low, high = told.eta_interval
    return (
        f"{told.eta_seconds():6.1f} s ({low:.0f} to {high:.0f}) foretold, {took:6.1f} s real: {ratios['time'][-1]:.2f}"
        f"   {foretold_mb:5.0f} MB foretold, {real_mb:5.0f} MB real: {ratios['memory'][-1]:.2f}"
    )


if __name__ == "__main__":
    sys.exit(main())
