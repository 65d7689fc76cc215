"""A run small enough to train inside a test."""

import json
from pathlib import Path

import pytest

from config.data_config import DataConfig
from config.inheritance import inherit_data
from config.lora_config import LoraConfig
from config.model_config import ModelConfig
from config.run_config import RunConfig
from config.train_config import TrainConfig
from runs.checkpoints import choose
from runs.folder import RunFolder, create_run
from training.fork import fork

TEXT = 4 * "".join(
    f"{name}:\nThe {thing} is {place} the house, and {name} knows it.\n\n"
    for name in ("Anna", "Otto", "Ida")
    for thing in ("bell", "ring", "lamp", "hat")
    for place in ("behind", "under", "beside", "over")
)

MODEL = {"d_model": 16, "n_layers": 2, "n_heads": 2, "d_mlp": 32, "n_ctx": 16}
TRAINING = {
    "max_steps": 12, "batch_size": 4, "warmup_steps": 2, "eval_interval": 4, "eval_iters": 2, "save_interval": 4,
    "sample_tokens": 5, "device": "cpu", "dtype": "float32", "lr": 1e-2, "min_lr": 1e-3, "baselines": False,
}  # fmt: skip


@pytest.fixture
def text_file(tmp_path: Path) -> Path:
    path = tmp_path / "tale.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


@pytest.fixture
def make_run(tmp_path: Path, text_file: Path):
    """A function that prepares a run; keyword arguments change its model, training or data settings."""

    def make(model: dict | None = None, training: dict | None = None, data: dict | None = None, **top) -> RunFolder:
        config = RunConfig(
            model=ModelConfig(**(MODEL | (model or {}))),
            training=TrainConfig(**(TRAINING | (training or {}))),
            data=DataConfig(**({"text_file": str(text_file)} | (data or {}))),
            **top,
        )
        return create_run(tmp_path / "checkpoints", config, {"command": ["test"]})

    return make


@pytest.fixture
def begin(tmp_path):
    """A function that makes a run from a checkpoint of another; keyword arguments change its settings."""

    def make(parent: RunFolder, step: int | None = None, carry=None, **changes) -> RunFolder:
        checkpoint = choose(parent if step is None else parent.step_path(step))
        before = parent.read_config()
        data = DataConfig(**inherit_data(before.data, changes.get("data", {})))
        config = RunConfig(
            model=before.model.replace(**changes.get("model", {})),
            training=before.training.replace(**changes.get("training", {})),
            data=data,
            implementation=changes.get("implementation", before.implementation),
            lora=changes.get("lora", LoraConfig()),
        )
        config, make.report = fork(config, checkpoint, carry)
        return create_run(tmp_path / "checkpoints", config, {"command": ["test"]})

    return make


def steps_of(run: RunFolder) -> list[dict]:
    """The metrics without the clock, with every bit of the numbers."""
    lines = map(json.loads, run.metrics_path.read_text().splitlines())
    clock = ("elapsed_seconds", "tokens_per_second")
    return [
        {key: value.hex() if isinstance(value, float) else value for key, value in line.items() if key not in clock}
        for line in lines
    ]
