"""Tiny models of `transformers` with initial values that hide nothing: gains off 1, biases off 0, wide matrices."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.utils import logging

from tests.interop.cases import CASES

os.environ["TOKENIZERS_PARALLELISM"] = "false"
logging.set_verbosity_error()
logging.disable_progress_bar()


@torch.no_grad()
def spread(model: torch.nn.Module, seed: int = 0) -> None:
    """Own values for every tensor, those of buffers that are saved included."""
    generator = torch.Generator().manual_seed(seed)
    saved = dict(model.named_parameters()) | {k: v for k, v in model.named_buffers() if k in model.state_dict()}
    for tensor in saved.values():
        noise = torch.randn(tensor.shape, generator=generator)
        if tensor.ndim == 1:  # gains and biases
            tensor.add_(0.3 * noise)
        else:
            tensor.copy_(noise * 1.2 * tensor.shape[-1] ** -0.5)


def build_theirs(case: str) -> Any:
    """The model of a case, in evaluation mode."""
    model_type, settings = CASES[case]
    config = AutoConfig.for_model(model_type, **settings)
    config.bos_token_id = config.eos_token_id = config.pad_token_id = None
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    spread(model)
    if model_type == "opt":  # of its rows for padding nothing is kept
        model.model.decoder.embed_positions.weight.data[:2] = 0.0
    return model


@pytest.fixture(scope="session")
def their_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Any, Path]]:
    """The model of a case and the folder it was saved in; made once."""
    made: dict[str, tuple[Any, Path]] = {}

    def make(case: str) -> tuple[Any, Path]:
        if case not in made:
            folder = tmp_path_factory.mktemp("theirs") / case
            model = build_theirs(case)
            model.save_pretrained(folder)
            made[case] = model, folder
        return made[case]

    return make
