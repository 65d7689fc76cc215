"""Trainings with nothing to decide: one for the first two minutes, one for fifteen."""

import tomllib

from config.data_config import DataConfig
from config.presets import FOLDER, load_preset
from config.run_config import RunConfig
from config.train_config import TrainConfig

DEMOS = ("quick", "full")


def load_demo(name: str) -> RunConfig:
    """The configuration of a demo, `quick` or `full`."""
    values = tomllib.loads((FOLDER / "demos.toml").read_text(encoding="utf-8"))[name]
    return RunConfig(
        model=load_preset(values["preset"], values["size"]),
        data=DataConfig(**values.get("data", {})),
        training=TrainConfig(**values["training"]),
        preset=values["preset"],
        size=values["size"],
    )
