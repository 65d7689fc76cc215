"""When two configurations are the same model: one form for all the ways to say it, and the fields where two differ."""

import math
from typing import Any

from config.fields import describe, is_active
from config.model_config import ModelConfig
from config.patterns import shortest, spread

# What only a training notices: a file of weights has no need to say it.
ONLY_IN_TRAINING = frozenset({"dropout", "init_std", "scale_residual_init", "balance_loss", "expert_capacity"})
SAME_NUMBER = 1e-6  # relative: √3072 is written with fewer digits by some than by others


def canonical(config: ModelConfig) -> ModelConfig:
    """The same model, its patterns as short as they can be, and unset what says no more than unset would."""
    letters = {
        name: shortest(spread(getattr(config, name), config.n_layers))
        for name in ("attention_pattern", "position_pattern", "moe_pattern")
    }
    has_windows = "w" in letters["attention_pattern"]
    same_base = config.rope_local_theta == config.rope_theta and config.rope_scaling == "none"
    plain = config.replace(d_head_rope=None, d_head_value=None, kv_rank=None)
    unset = {
        "n_kv_heads": config.n_kv_heads == config.n_heads,
        "d_head": config.d_head is not None and config.d_head * config.n_heads == config.d_model,
        "window": not has_windows,
        "rotary_dim": config.rotary_dim == config.head_dim,
        "rope_local_theta": not has_windows or same_base,
        "rope_original_ctx": config.rope_original_ctx == int(config.n_ctx / config.rope_factor),
        "attention_scale": same(config.attention_scale, config.replace(attention_scale=None).score_scale),
        "d_head_rope": config.d_head_rope == plain.rope_head_dim,
        "d_head_value": config.d_head_value == plain.value_head_dim,
        "kv_rank": config.kv_rank == plain.latent_rank,
        "d_expert": config.d_expert == config.d_mlp,
    }
    changes: dict[str, Any] = {**letters, **{name: None for name, holds in unset.items() if holds}}
    if config.n_experts is not None and "d" not in letters["moe_pattern"]:  # no MLP that is none of an expert's
        changes |= {"d_mlp": config.expert_width, "d_expert": None}
    return config.replace(**changes)


def differences(first: ModelConfig, second: ModelConfig) -> dict[str, tuple[Any, Any]]:
    """Fields that have an effect on the first model and are not the same in the second."""
    mine, other = first.to_dict(), second.to_dict()
    return {
        name: (mine[name], other[name])
        for name, info in describe(ModelConfig).items()
        if name not in ONLY_IN_TRAINING and is_active(info, mine) and not same(mine[name], other[name])
    }


def same(first: Any, second: Any) -> bool:
    """Whether two values of a field are equal, numbers but for rounding."""
    if type(first) is float and isinstance(second, float | int):
        return math.isclose(first, second, rel_tol=SAME_NUMBER)
    return bool(first == second)
