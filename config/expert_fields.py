"""Mixture of experts: the settings of a model whose MLP is several smaller ones, of which each token visits a few.

Which families set what (config/preset_files/*.toml): Mixtral has 8 experts, 2 for each token, weights that sum to 1;
DeepSeek-V3 scores by sigmoid, corrects its choice by a bias, chooses within groups, and adds one shared expert.
"""

from dataclasses import dataclass

from config.fields import SET, Settings, setting

WITH_EXPERTS = ("n_experts", (SET,))


@dataclass(frozen=True, kw_only=True)
class ExpertFields(Settings):
    """The part of ModelConfig that is about experts; without effect while n_experts is unset."""

    n_experts: int | None = setting(
        None, group="Experts", title="Experts", symbol="E", typical="unset, or 8", minimum=1, maximum=4_096
    )
    """How many MLPs a layer holds instead of one; unset is an ordinary, dense model."""

    experts_per_token: int = setting(
        2, group="Experts", title="Experts per token", symbol="k", typical="2", minimum=1, maximum=4_096,
        only_when=WITH_EXPERTS,
    )  # fmt: skip
    """How many experts each token visits: what a token costs depends on this, not on how many experts there are."""

    d_expert: int | None = setting(
        None, group="Experts", title="Expert width", symbol="d_expert", typical="d_mlp / experts per token", minimum=1,
        maximum=262_144, only_when=WITH_EXPERTS,
    )  # fmt: skip
    """Hidden width of one expert; unset means d_mlp. d_mlp / experts_per_token costs as much as the dense model."""

    moe_pattern: str = setting("m", group="Experts", title="Expert layers", typical="m", only_when=WITH_EXPERTS)
    """Which layers have experts, repeated over the layers: m for a mixture, d for one dense MLP of width d_mlp."""

    router: str = setting(
        "softmax", group="Experts", title="Router", typical="softmax", choices=("softmax", "sigmoid"),
        only_when=WITH_EXPERTS,
    )  # fmt: skip
    """How a token scores the experts: against each other (softmax), or each by itself (sigmoid, DeepSeek-V3)."""

    router_renormalize: bool = setting(
        True, group="Experts", title="Weights sum to 1", typical="on", only_when=WITH_EXPERTS
    )
    """Divide the scores of the chosen experts by their sum, so that their weights sum to 1 (Mixtral does)."""

    router_scale: float = setting(
        1.0, group="Experts", title="Router scale", typical="1.0; 2.5 in DeepSeek-V3", minimum=1e-6, maximum=1e6,
        only_when=WITH_EXPERTS,
    )  # fmt: skip
    """Multiplies the weights of the chosen experts, after they were made to sum to 1."""

    router_bias: bool = setting(False, group="Experts", title="Router bias", typical="off", only_when=WITH_EXPERTS)
    """Whether the router's scores add a learned offset for each expert (gpt-oss)."""

    router_selection_bias: bool = setting(
        False, group="Experts", title="Selection bias", typical="off; on in DeepSeek-V3", only_when=WITH_EXPERTS
    )
    """Balance the load by an offset that only decides which experts are chosen: raised after each step for experts with
    too few tokens, lowered for those with too many; the weights never see it."""

    balance_loss: float = setting(
        0.01, group="Experts", title="Balance loss", symbol="α", typical="0.01; 0 is off", minimum=0.0, maximum=100.0,
        only_when=WITH_EXPERTS,
    )  # fmt: skip
    """How strongly uneven use of the experts is punished in training; the loss that is shown is without it."""

    expert_capacity: float | None = setting(
        None, group="Experts", title="Capacity factor", symbol="C", typical="unset, or 1.25", minimum=0.01,
        maximum=4_096.0, only_when=WITH_EXPERTS,
    )  # fmt: skip
    """In training an expert takes at most this many times its even share of a batch; what is beyond skips it."""

    expert_groups: int | None = setting(
        None, group="Experts", title="Expert groups", typical="unset; 8 in DeepSeek-V3", minimum=1, maximum=4_096,
        only_when=WITH_EXPERTS,
    )  # fmt: skip
    """Experts stand in this many groups (on as many machines), and a token may visit only a few of them."""

    groups_per_token: int | None = setting(
        None, group="Experts", title="Groups per token", typical="4 in DeepSeek-V3", minimum=1, maximum=4_096,
        only_when=(WITH_EXPERTS, ("expert_groups", (SET,))),
    )  # fmt: skip
    """How many groups a token may visit."""

    n_shared_experts: int = setting(
        0, group="Experts", title="Shared experts", typical="0; 1 in DeepSeek-V3", minimum=0, maximum=1_024,
        only_when=WITH_EXPERTS,
    )  # fmt: skip
    """Experts that every token visits beside the chosen ones, built as one MLP of that many times the width."""

    shared_expert_gate: bool = setting(
        False, group="Experts", title="Gate on shared experts", typical="off; on in Qwen2-MoE",
        only_when=(WITH_EXPERTS, ("n_shared_experts", (SET,))),
    )  # fmt: skip
    """Whether each token decides, by a sigmoid, how much of the shared experts it takes."""
