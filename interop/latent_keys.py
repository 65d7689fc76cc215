"""How config.json says latent attention (MLA) and the routing of DeepSeek.

With YaRN they scale attention once more: by the square of 0.1 · mscale_all_dim · ln(factor) + 1, on top of what cos and
sin are multiplied by. Here both are numbers of their own: attention_scale and rope_attention_factor.
"""

import math
from dataclasses import dataclass
from typing import Any

from config.model_config import ModelConfig
from interop.keys import Key, Values, attempt
from interop.position_keys import Rope, magnitude, table_of


@dataclass(frozen=True)
class LatentRope(Rope):
    """RoPE of the part of a head that knows positions, with the scale that comes with YaRN."""

    def read(self, theirs: Values, fields: Values) -> dict[str, Any]:
        found = super().read(theirs, fields)
        weight = table_of(theirs).get("mscale_all_dim")
        if found["rope_scaling"] != "yarn" or not weight:
            return found
        width = fields["d_head"] + fields["d_head_rope"]
        longer = attempt(lambda: magnitude(found["rope_factor"], weight), "mscale_all_dim", weight)
        return {**found, "attention_scale": longer**2 * width**-0.5}

    def write(self, config: ModelConfig) -> dict[str, Any]:
        said = super().write(config)
        if config.attention_scale is None or config.rope_scaling != "yarn":
            return said
        longer = math.sqrt(config.attention_scale / config.replace(attention_scale=None).score_scale)
        table = said["rope_parameters"]
        table.setdefault("attention_factor", magnitude(config.rope_factor))
        table["mscale_all_dim"] = (longer - 1.0) / (0.1 * math.log(config.rope_factor))
        return said


@dataclass(frozen=True)
class ExpertGroups(Key):
    """Groups that experts are chosen within: none is one group of all."""

    n_groups: int | None
    per_token: int | None
    """What their class takes where the keys are missing."""
    method: bool = False
    """Whether topk_method says if there are groups at all (V2)."""

    @property
    def names(self) -> tuple[str, ...]:
        return ("n_group", "topk_group", *(["topk_method"] if self.method else []))

    def read(self, theirs: Values, fields: Values) -> dict[str, Any]:
        groups, per_token = theirs.get("n_group", self.n_groups), theirs.get("topk_group", self.per_token)
        if groups in (None, 1) or (self.method and theirs.get("topk_method", "greedy") == "greedy"):
            return {"expert_groups": None, "groups_per_token": None}
        return {"expert_groups": groups, "groups_per_token": per_token}

    def write(self, config: ModelConfig) -> dict[str, Any]:
        groups = {"n_group": config.expert_groups or 1, "topk_group": config.groups_per_token or 1}
        named = "group_limited_greedy" if config.expert_groups else "greedy"
        return groups | ({"topk_method": named} if self.method else {})
