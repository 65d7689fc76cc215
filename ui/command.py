"""The command line that does what the form says: only the flags that differ from what `train.py` does anyway."""

import shlex

from config.run_config import RunConfig
from config.short_form import changed_words

ARCHITECTURES = {"gpt2": "GPT", "llama": "LLAMA", "olmo": "OLMO"}
CONTINUATION = " \\\n  "


def equivalent_command(config: RunConfig) -> str:
    """`uv run train.py --architecture LLAMA --model_size tiny …`, one line per group of flags, ready to paste."""
    assert config.preset is not None and config.size is not None
    lines = [
        f"uv run train.py --architecture {ARCHITECTURES.get(config.preset, config.preset)} --model_size {config.size}"
    ]
    words = changed_words(config)
    if config.implementation != "fused":
        words["model"]["implementation"] = config.implementation
    for section in ("model", "data", "training"):
        flags = [f"--{name} {shlex.quote(text)}" for name, text in words[section].items()]
        lines += [" ".join(flags)] if flags else []
    return CONTINUATION.join(lines)
