"""The measures of a drawing: heights that never change, and widths that depend on how much of the model is shown."""

from dataclasses import dataclass

from config.model_config import ModelConfig
from ui import svg

STREAM = 236  # height of the residual stream
TOP, PART_TOP, PART_HEIGHT = 12, 48, 104  # of the block's frame and of attention and MLP in it
PART_BOTTOM = PART_TOP + PART_HEIGHT
NORM_TOP, NORM_HEIGHT = 170, 34
RAIL = STREAM + 20  # where the stream is led past attention to the MLP beside it
FRAME_BOTTOM, HEIGHT = 270, 312


@dataclass(frozen=True)
class Plan:
    """Widths of one drawing: the whole model, or only embedding and block where space is short."""

    embedding: float
    part: float
    norm: float
    gap: float  # between the two parts of a block, and behind the second where a post-norm stands
    tail: float
    whole: bool


def plan_of(config: ModelConfig, whole: bool) -> Plan:
    """The same overall width for every placement of the norms, so that the picture does not jump."""
    if config.norm_placement == "post":
        return Plan(92, 128, 80, 88, 80, whole) if whole else Plan(84, 124, 80, 84, 80, whole)
    return Plan(92, 184, 132, 28, 28, whole) if whole else Plan(84, 132, 96, 16, 8, whole)


def labelled_box(x: float, y: float, width: float, height: float, *lines: str) -> str:
    """A box with its lines of text in the middle; the first one is the name."""
    shapes = svg.rectangle(x, y, width, height, "box")
    first = y + height / 2 - 8.5 * (len(lines) - 1)
    for index, content in enumerate(lines):
        shapes += svg.text(x + width / 2, first + 17 * index, content, "small" if index else "name")
    return shapes
