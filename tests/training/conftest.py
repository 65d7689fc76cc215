"""A run small enough to train inside a test."""

from pathlib import Path

import pytest

from config.data_config import DataConfig
from config.model_config import ModelConfig
from config.run_config import RunConfig
from config.train_config import TrainConfig
from runs.folder import RunFolder, create_run

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
