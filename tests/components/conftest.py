"""Small models and inputs that show mistakes: gains off 1, biases off 0, logits of a useful size."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from components.model import Transformer, build_model
from components.norm import Norm
from config.model_config import ModelConfig

SMALL = {"d_vocab": 31, "d_model": 24, "n_layers": 2, "n_heads": 6, "d_head": 4, "d_mlp": 40, "n_ctx": 16}


@torch.no_grad()
def spread_parameters(module: nn.Module, seed: int = 5) -> None:
    """Give every tensor of a checkpoint values far from its initial ones, so that a forgotten gain or bias shows."""
    generator = torch.Generator().manual_seed(seed)
    offsets = {id(part.weight) for part in module.modules() if isinstance(part, Norm) and part.has_unit_offset}
    stored_buffers = [(name, buffer) for name, buffer in module.named_buffers() if name in module.state_dict()]
    for name, parameter in (*module.named_parameters(), *stored_buffers):
        drawn = torch.empty(parameter.shape).normal_(0.0, 0.3, generator=generator)
        is_gain = name.endswith("weight") and parameter.ndim == 1 and id(parameter) not in offsets
        parameter.copy_(drawn + 1.0 if is_gain else drawn)


@pytest.fixture(autouse=True)
def seed() -> None:
    """The same random inputs in every run of a test, whatever ran before it."""
    torch.manual_seed(0)


@pytest.fixture
def small_config() -> Callable[..., ModelConfig]:
    """A tiny config with any field changed."""
    return lambda **changes: ModelConfig(**{**SMALL, **changes})


@pytest.fixture
def small_model(small_config: Callable[..., ModelConfig]) -> Callable[..., Transformer]:
    """A tiny model in eval mode, its parameters spread."""

    def build(implementation: str = "fused", **changes: object) -> Transformer:
        model = build_model(small_config(**changes), implementation, seed=1).eval()
        spread_parameters(model)
        return model

    return build


@pytest.fixture
def tokens() -> Tensor:
    """Three texts of eleven tokens: odd on purpose."""
    return torch.randint(31, (3, 11), generator=torch.Generator().manual_seed(3))
