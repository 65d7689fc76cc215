"""The command line that does what the form says: only the flags that differ from what `train.py` does anyway."""

import shlex
from typing import Any

from config.fields import FieldInfo, describe, is_active
from config.model_config import ModelConfig
from config.presets import load_preset
from config.run_config import RunConfig

ARCHITECTURES = {"gpt2": "GPT", "llama": "LLAMA", "olmo": "OLMO"}
CONTINUATION = " \\\n  "


def equivalent_command(config: RunConfig) -> str:
    """`uv run train.py --architecture LLAMA --model_size tiny …`, one line per group of flags, ready to paste."""
    assert config.preset is not None and config.size is not None
    lines = [f"uv run train.py --architecture {ARCHITECTURES[config.preset]} --model_size {config.size}"]
    preset = load_preset(config.preset, config.size).to_dict() | {"d_vocab": config.model.d_vocab}
    model = _flags(describe(ModelConfig), config.model.to_dict(), preset)
    if config.implementation != "fused":
        model.append(f"--implementation {config.implementation}")
    for values in (config.data, config.training):
        infos = describe(type(values))
        defaults = {name: info.default for name, info in infos.items()}
        flags = _flags(infos, values.to_dict(), defaults)
        lines += [" ".join(flags)] if flags else []
    if model:
        lines.insert(1, " ".join(model))
    return CONTINUATION.join(lines)


def _flags(infos: dict[str, FieldInfo], values: dict[str, Any], defaults: dict[str, Any]) -> list[str]:
    """Flags of what differs and has an effect: train.py refuses a RoPE base without RoPE."""
    return [
        f"--{name} {_word(value)}"
        for name, value in values.items()
        if value != defaults[name] and is_active(infos[name], values)
    ]


def _word(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else shlex.quote(str(value))
