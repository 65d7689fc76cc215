"""What stands in the MLP's and the keys' places of a drawing: experts of which a token visits a few, and a latent."""

from config.model_config import ModelConfig
from ui import svg
from ui.drawing_plan import PART_TOP

MOST_EXPERTS_DRAWN = 16
SIZE = 13.0  # of one expert


def draw_experts(config: ModelConfig, x: float, width: float) -> str:
    """A field for each expert, those of one token dark; behind them the shared ones, and below in words."""
    assert config.n_experts is not None
    drawn = min(config.n_experts, MOST_EXPERTS_DRAWN)
    visited = max(1, round(drawn * config.experts_per_token / config.n_experts))
    pitch = min(SIZE + 5, (width - 36) / drawn)
    size, left = min(SIZE, pitch * 0.75), x + width / 2 - pitch * drawn / 2
    shapes = "".join(
        svg.rectangle(left + pitch * (number + 0.5) - size / 2, PART_TOP + 46 - size / 2, size, size,
                      "query" if number < visited else "key", 3)
        for number in range(drawn)
    )  # fmt: skip
    if config.n_shared_experts:
        shapes += svg.rectangle(left + 2, PART_TOP + 60, pitch * drawn - 4, 5, "query", 2)
    middle = x + width / 2
    words = f"{config.n_experts:,} × {config.expert_width:,}, a token visits {config.experts_per_token:,}"
    if config.n_shared_experts:
        words += f" + {config.n_shared_experts:,}"
    return shapes + svg.text(middle, PART_TOP + 86, words, "small")


def experts_in_words(config: ModelConfig) -> str:
    """8 experts, 2 for each token; empty for a dense model."""
    if not any(config.expert_layers):
        return ""
    layers = sum(config.expert_layers)
    where = "" if layers == config.n_layers else f" in {layers} of {config.n_layers} layers"
    shared = f" and {config.n_shared_experts} shared" if config.n_shared_experts else ""
    return f"{config.n_experts} experts, {config.experts_per_token} for each token{shared}{where}"
