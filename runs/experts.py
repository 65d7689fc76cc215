"""Dense against mixture of experts: the same model twice, of which a token uses equally much, on the same batches.

    dense      one MLP of width d_mlp
    mixture    E experts of width d_mlp / k, of which a token visits k: as much work, E / k times the parameters

Only the routers come on top, d_model · E for each layer. So a difference of the losses is what the additional
parameters are worth, and a difference in speed what it costs to send tokens around.
"""

from __future__ import annotations

from dataclasses import replace

from config.errors import ConfigError, Problem
from config.run_config import RunConfig
from runs.race import Entry, line_up

N_EXPERTS, PER_TOKEN = 8, 2
ENDINGS = ("dense", "experts")


def pair(config: RunConfig, n_experts: int = N_EXPERTS, per_token: int = PER_TOKEN) -> list[Entry]:
    """The configuration and its twin, the dense one first, lined up on the same batches.

    Raises:
        ConfigError: there is no twin of equal size.
    """
    if config.model.n_experts is None:
        return line_up([config, with_experts(config, n_experts, per_token)])
    return line_up([without_experts(config), config])


def with_experts(config: RunConfig, n_experts: int = N_EXPERTS, per_token: int = PER_TOKEN) -> RunConfig:
    """Experts in the place of every MLP, together as wide for a token as it was.

    Raises:
        ConfigError: the width cannot be shared evenly, or so many experts make no sense.
    """
    d_mlp = config.model.d_mlp
    if per_token < 1 or d_mlp % per_token:
        message = f"d_mlp {d_mlp:,} cannot be shared by {per_token:,} experts: let a token visit {_divisor(d_mlp)}"
        raise ConfigError([Problem("experts_per_token", message)])
    experts = {"n_experts": n_experts, "experts_per_token": per_token, "d_expert": d_mlp // per_token}
    return replace(config, model=config.model.replace(**experts))


def without_experts(config: RunConfig) -> RunConfig:
    """One MLP in the place of the experts, as wide as what a token visits of them.

    Raises:
        ConfigError: some layers are dense already, of another width.
    """
    model = config.model
    d_mlp = model.experts_per_token * model.expert_width + model.shared_width
    if not all(model.expert_layers) and d_mlp != model.d_mlp:
        message = (
            f"moe_pattern {model.moe_pattern[:20]!r} leaves layers with an MLP of width {model.d_mlp:,}, and a token "
            f"uses {d_mlp:,} of the experts: no dense model has both widths"
        )
        raise ConfigError([Problem("moe_pattern", message)])
    return replace(config, model=model.replace(n_experts=None, d_mlp=d_mlp))


def _divisor(width: int) -> int:
    return next(number for number in (2, 3, 4, 1) if width % number == 0)
