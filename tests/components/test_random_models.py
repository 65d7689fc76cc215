"""Models put together at random: what each switch promises alone must hold for all of them together.

The contract (test_contract.py) changes one thing at a time. Here up to 40 % of all fields are drawn for every model.
"""

import random

import pytest
import torch

from components.kv_cache import KVCache
from components.model import build_model
from config.catalog import IMPLEMENTATIONS
from config.errors import ConfigError
from config.fields import describe
from config.model_config import ModelConfig
from config.sizes import count_parameters
from generation.decode_plan import DecodePlan
from tests.components.conftest import spread_parameters

BASE = {"d_model": 24, "n_layers": 3, "n_heads": 4, "d_mlp": 20, "n_ctx": 14, "d_vocab": 11}
# Of fields that are numbers or patterns; those with choices and switches have all of theirs.
VALUES = {
    "n_kv_heads": (None, 1, 2), "d_head": (None, 6), "attention_pattern": ("f", "w", "wf", "ffw"),
    "window": (None, 1, 3, 5, 20), "position_pattern": ("p", "n", "pn"), "rotary_dim": (None, 2, 4),
    "rope_local_theta": (None, 50.0), "attention_softcap": (None, 2.0), "clip_qkv": (None, 0.5),
    "attention_scale": (None, 0.3), "n_experts": (None, 4), "experts_per_token": (1, 2), "moe_pattern": ("m", "dm"),
    "n_shared_experts": (0, 1), "expert_groups": (None, 2), "groups_per_token": (None, 1), "d_expert": (None, 9),
    "logit_scale": (1.0, 0.5), "logit_softcap": (None, 3.0), "embedding_scale": (1.0, 2.0), "swiglu_clamp": (None, 1.0),
    "residual_scale": (1.0, 0.5), "q_rank": (None, 8), "kv_rank": (None, 7), "d_head_value": (None, 5),
}  # fmt: skip
SHARE = 0.4  # of the fields that are drawn, at most


def drawn(seed: int) -> ModelConfig:
    """The first possible configuration of a seed."""
    dice = random.Random(seed)
    share = SHARE * dice.random()
    infos = describe(ModelConfig)
    values = VALUES | {name: info.choices for name, info in infos.items() if info.choices}
    values |= {name: (False, True) for name, info in infos.items() if type(info.default) is bool}
    while True:
        chosen = {name: dice.choice(options) for name, options in values.items() if dice.random() < share}
        try:
            config = ModelConfig(**BASE, **chosen)
        except ConfigError:
            continue
        if not config.angles_grow:  # of growing angles no key can be cached
            return config


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(60))
@torch.no_grad()
def test_models_drawn_at_random_keep_every_promise(seed):
    config = drawn(seed)
    tokens = torch.randint(11, (2, 14), generator=torch.Generator().manual_seed(seed))
    expected = None
    for implementation in IMPLEMENTATIONS:
        model = build_model(config, implementation, seed=1).eval()
        spread_parameters(model)
        assert sum(parameter.numel() for parameter in model.parameters()) == count_parameters(config)
        logits, cache = model(tokens), KVCache(config, batch=2)
        expected = logits if expected is None else expected
        allowed = 2e-4 * expected.abs().max().item()
        pieces = [tokens[:, :4], tokens[:, 4:7], *tokens[:, 7:].split(1, dim=1)]
        cached = torch.cat([model(piece, cache=cache) for piece in pieces], dim=1)
        torch.testing.assert_close(logits, expected, rtol=0, atol=allowed)
        torch.testing.assert_close(cached, logits, rtol=0, atol=allowed)
        cache = KVCache(config)
        if plan := DecodePlan.of(model, cache):
            planned = torch.stack([plan.step(token).clone()[0] for token in tokens[0].tolist()])
            torch.testing.assert_close(planned, logits[0], rtol=0, atol=allowed)
