"""Small models that show mistakes, and texts for them."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from components.model import Transformer, build_model
from config.model_config import ModelConfig
from tests.components.conftest import SMALL, spread_parameters


@pytest.fixture
def make_model() -> Callable[..., Transformer]:
    """A tiny model in eval mode, its parameters spread; any field can be changed."""

    def build(implementation: str = "einops", **changes: object) -> Transformer:
        model = build_model(ModelConfig(**{**SMALL, **changes}), implementation, seed=1).eval()
        spread_parameters(model)
        return model.requires_grad_(False)

    return build


@pytest.fixture
def text() -> Tensor:
    """Eleven tokens."""
    return torch.randint(31, (11,), generator=torch.Generator().manual_seed(3))
