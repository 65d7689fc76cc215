"""How large the MLP of a layer is, or the mixture of experts in its place: all of it, and what one token uses of it."""

from config.model_config import ModelConfig


def parameters_of_mlp(config: ModelConfig, width: int) -> int:
    """One MLP of this hidden width."""
    widening = 2 if config.has_gate else 1  # gate and up, or up alone
    return (widening + 1) * config.d_model * width + (widening * width + config.d_model) * config.mlp_bias


def parameters_of_mixture(config: ModelConfig, *, active: bool = False) -> int:
    """Router, experts and shared experts of one layer; `active` counts the experts of one token alone."""
    n_experts = config.n_experts or 0
    router = n_experts * (config.d_model + config.router_bias)
    counted = config.experts_per_token if active else n_experts
    shared = parameters_of_mlp(config, config.shared_width) if config.n_shared_experts else 0
    gate = config.d_model * (config.n_shared_experts > 0 and config.shared_expert_gate)
    return router + counted * parameters_of_mlp(config, config.expert_width) + shared + gate


def parameters_by_layer(config: ModelConfig, *, active: bool = False) -> list[int]:
    """The MLP, or the mixture in its place, of every layer."""
    dense, mixture = parameters_of_mlp(config, config.d_mlp), parameters_of_mixture(config, active=active)
    return [mixture if has_experts else dense for has_experts in config.expert_layers]


def kept_by_mlps(config: ModelConfig, implementation: str) -> int:
    """Numbers that the MLPs of all layers keep of one token for the backward pass.

    The hidden values before and after their activation; formulas written out keep the result of every step. Experts
    keep them for every visit, and beside them what goes into an expert and comes out of it, in the order of the experts
    and in that of the tokens. `einops` sends every token to every expert.
    """
    n_experts = config.n_experts or 0
    per_hidden = {"fused": (2, 4)}.get(implementation, (7, 6))[config.has_gate]
    visits = n_experts if implementation == "einops" else config.experts_per_token
    mixture = per_hidden * (visits * config.expert_width + config.shared_width)
    mixture += (4 * visits + (config.n_shared_experts > 0)) * config.d_model + 4 * n_experts
    return sum(mixture if has_experts else per_hidden * config.d_mlp for has_experts in config.expert_layers)
