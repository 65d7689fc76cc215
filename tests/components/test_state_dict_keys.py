"""The names and shapes of a checkpoint are a contract: every preset's are written down in state_dict_keys.txt.

A new preset, or a change that is meant, writes the file anew: python -m tests.components.test_state_dict_keys
"""

import re
from collections import Counter
from pathlib import Path

import pytest
import torch

from components.model import Transformer
from config.presets import MORE_PRESETS, PRESET_NAMES, load_preset

FILE = Path(__file__).with_name("state_dict_keys.txt")
ALL = (*PRESET_NAMES, *MORE_PRESETS)


def lines_of(preset: str) -> list[str]:
    """name, shape, and how often: one line for all layers and all experts; size tiny, 65 different tokens."""
    with torch.device("meta"):
        tensors = Transformer(load_preset(preset, "tiny").replace(d_vocab=65)).state_dict()
    counts = Counter(
        re.sub(r"experts\.\d+", "experts.{e}", re.sub(r"blocks\.\d+", "blocks.{n}", name))
        + f"  {' x '.join(map(str, tensor.shape))}"
        for name, tensor in tensors.items()
    )
    return [f"{line}  {count} times" if count > 1 else line for line, count in counts.items()]


def write() -> None:
    """The whole file."""
    FILE.write_text("".join(f"[{preset}]\n" + "\n".join(lines_of(preset)) + "\n\n" for preset in ALL))


@pytest.mark.parametrize("preset", ALL)
def test_the_tensors_of_a_checkpoint_are_those_that_were_written_down(preset):
    pinned = re.search(rf"^\[{preset}\]\n(.*?)\n\n", FILE.read_text(), re.MULTILINE | re.DOTALL)
    assert pinned is not None
    assert lines_of(preset) == pinned[1].split("\n")


if __name__ == "__main__":
    write()
