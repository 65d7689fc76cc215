"""What a mixture of experts and latent attention must satisfy; one small function per rule, as in model_rules.py."""

from collections.abc import Mapping
from typing import Any

from config.errors import Problem
from config.patterns import pattern_problem

Values = Mapping[str, Any]


def enough_experts(values: Values) -> Problem | None:
    """A token visits different experts."""
    n_experts, chosen = values["n_experts"], values["experts_per_token"]
    if n_experts is None or chosen <= n_experts:
        return None
    return Problem(
        "experts_per_token",
        f"experts_per_token {chosen:,} is more than n_experts {n_experts:,}: take at most {n_experts:,}",
    )


def moe_pattern_is_known(values: Values) -> Problem | None:
    """The pattern says m or d for every layer, and m for one of them at least."""
    if values["n_experts"] is None:
        return None
    if problem := pattern_problem("moe_pattern", values["moe_pattern"], {"m": "mixture", "d": "dense"}):
        return problem
    if "m" in values["moe_pattern"][: values["n_layers"]]:
        return None
    return Problem(
        "moe_pattern",
        f"moe_pattern {values['moe_pattern'][:20]!r} gives none of the {values['n_layers']:,} layers experts: "
        "put an m among its first letters, or leave n_experts unset",
    )


def experts_stand_in_groups(values: Values) -> Problem | None:
    """Groups are equally large, and those that a token may visit hold as many experts as it visits."""
    n_experts, groups, visited = values["n_experts"], values["expert_groups"], values["groups_per_token"]
    if n_experts is None or groups is None:
        return None
    if n_experts % groups:
        return Problem("expert_groups", f"n_experts {n_experts:,} cannot be cut into {groups:,} equal groups")
    size = n_experts // groups
    if size < 2 and values["router"] == "sigmoid":
        return Problem(
            "expert_groups",
            f"groups of {size} expert cannot be scored by their best two, as a sigmoid router does: "
            f"take at most {max(1, n_experts // 2):,} groups",
        )
    if visited is None or visited > groups:
        found = "unset" if visited is None else f"{visited:,}"
        return Problem("groups_per_token", f"groups_per_token is {found}: take 1 to {groups:,}, the expert_groups")
    if visited * size < values["experts_per_token"]:
        return Problem(
            "groups_per_token",
            f"{visited:,} groups of {size:,} hold fewer experts than experts_per_token "
            f"{values['experts_per_token']:,}: let a token visit {-(-values['experts_per_token'] // size):,} groups",
        )
    return None


def latent_has_no_kv_heads(values: Values) -> Problem | None:
    """Latent attention unpacks a key and a value for every head: there is nothing to share."""
    if values["attention"] != "mla" or values["n_kv_heads"] in (None, values["n_heads"]):
        return None
    return Problem(
        "n_kv_heads",
        f"n_kv_heads {values['n_kv_heads']:,} has no place in latent attention, which saves memory by its latent: "
        "leave it unset, or take attention multi_head",
    )


def latent_goes_without(values: Values) -> Problem | None:
    """What acts on the queries and keys of ordinary heads has no place where they are unpacked from latents."""
    foreign = {"qk_norm": "none", "clip_qkv": None, "attention_softcap": None, "rotary_dim": None}
    for name, off in foreign.items():
        if values["attention"] == "mla" and values[name] != off:
            instead = "set d_head_rope" if name == "rotary_dim" else f"take {off}" if off else "leave it unset"
            return Problem(name, f"{name} {values[name]} has no place in latent attention: {instead}")
    return None


def latent_turns_pairs(values: Values) -> Problem | None:
    """RoPE rotates pairs of dimensions."""
    width = values["d_head_rope"]
    if values["attention"] != "mla" or values["position"] != "rope" or width is None or width % 2 == 0:
        return None
    return Problem("d_head_rope", f"RoPE rotates pairs of dimensions, but d_head_rope is {width}: take {width + 1}")


EXPERT_RULES = (
    (("n_experts", "experts_per_token"), enough_experts),
    (("n_experts", "moe_pattern", "n_layers"), moe_pattern_is_known),
    (("n_experts", "expert_groups", "groups_per_token", "router", "experts_per_token"), experts_stand_in_groups),
    (("attention", "n_heads", "n_kv_heads"), latent_has_no_kv_heads),
    (("attention", "qk_norm", "clip_qkv", "attention_softcap", "rotary_dim"), latent_goes_without),
    (("attention", "position", "d_head_rope"), latent_turns_pairs),
)
