"""How config.json says RoPE: one table, or one for each kind of layer, in the spelling of the hub or of version 5.

    hub                 "rope_theta": 500000.0, "rope_scaling": {"rope_type": "llama3", "factor": 8.0, …}
    since version 5     "rope_parameters": {"rope_theta": 500000.0, "rope_type": "llama3", "factor": 8.0, …}
    by kind of layer    "rope_parameters": {"full_attention": {…}, "sliding_attention": {…}}

The formulas of the scalings are in components/rope_scaling.py. Written is the spelling of version 5, and beside it the
base alone as older programs look for it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from config.model_config import ModelConfig
from interop.keys import Key, Values, attempt, refusal

# Fields of ours and keys in their table, for each kind of scaling beside its factor.
LLAMA3 = {"rope_low_freq_factor": "low_freq_factor", "rope_high_freq_factor": "high_freq_factor"}
YARN = {"rope_beta_fast": "beta_fast", "rope_beta_slow": "beta_slow", "rope_truncate": "truncate",
        "rope_attention_factor": "attention_factor"}  # fmt: skip
ORIGINAL = "original_max_position_embeddings"


@dataclass(frozen=True)
class Rope(Key):
    """Base, scaling, and the share of a head that is turned."""

    theta: float = 10_000.0
    """The base where the file has none."""
    share: float | None = None
    """The share of a head that is turned where the file does not say it; None in families that turn all of it."""
    share_key: str = "partial_rotary_factor"
    default: Values = field(default_factory=dict)
    """The table that their class takes where there is none."""

    @property
    def names(self) -> tuple[str, ...]:
        return (
            "rope_theta",
            "rope_scaling",
            "rope_parameters",
            "rotary_emb_base",
            self.share_key,
            ORIGINAL,
            "rotary_dim",
        )

    def read(self, theirs: Values, fields: Values) -> dict[str, Any]:
        table = table_of(theirs) or self.default
        theta = table.get("rope_theta", theirs.get("rope_theta", theirs.get("rotary_emb_base", self.theta)))
        found = {"rope_theta": theta} | scaling_of(table, theirs, fields)
        if self.share is not None:
            share = table.get("partial_rotary_factor", theirs.get(self.share_key, self.share))
            turned = attempt(lambda: int(head_width(fields) * share), self.share_key, share)
            found["rotary_dim"] = theirs.get("rotary_dim", turned)
        return found

    def write(self, config: ModelConfig) -> dict[str, Any]:
        if config.position != "rope":
            return {}
        table = {"rope_theta": config.rope_theta} | scaling_table(config)
        if self.share is not None:
            table["partial_rotary_factor"] = share_of(config)
        return {"rope_parameters": table, "rope_theta": config.rope_theta} | shorter_context(config)


@dataclass(frozen=True)
class RopeByLayer(Key):
    """A table for layers that see everything, another base for those with a window; only the first are scaled."""

    theta: float
    local_theta: float | None
    """The base of window layers where the file has none; None in families that use the same base."""
    local_key: str = "rope_local_base_freq"

    @property
    def names(self) -> tuple[str, ...]:
        return ("rope_theta", "rope_scaling", "rope_parameters", self.local_key)

    def read(self, theirs: Values, fields: Values) -> dict[str, Any]:
        table = table_of(theirs)
        full, local = (part_of(table, name) for name in ("full_attention", "sliding_attention"))
        if not full and not local:  # the spelling of the hub: one table, for the layers that see everything
            full = table
        theta = full.get("rope_theta", theirs.get("rope_theta", self.theta))
        local_theta = local.get("rope_theta", theirs.get(self.local_key, self.local_theta or theta))
        if local.get("rope_type", "default") != "default":
            raise refusal("rope_type", local["rope_type"])
        return {"rope_theta": theta, "rope_local_theta": local_theta} | scaling_of(full, theirs, fields)

    def write(self, config: ModelConfig) -> dict[str, Any]:
        if config.position != "rope":
            return {}
        full = {"rope_theta": config.rope_theta} | scaling_table(config)
        full.pop("truncate", None)  # their code does not look for it in tables by layer, and takes True
        local_theta = config.rope_theta if config.rope_local_theta is None else config.rope_local_theta
        local = {"rope_theta": local_theta, "rope_type": "default"}
        return {"rope_parameters": {"full_attention": full, "sliding_attention": local}}


def table_of(theirs: Values) -> Mapping[str, Any]:
    """The table of either spelling, empty where there is none."""
    for name in ("rope_scaling", "rope_parameters"):
        table = theirs.get(name)
        if table:
            if not isinstance(table, Mapping):
                raise refusal(name, table)
            return table
    return {}


def part_of(table: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The table for one kind of layer, empty where there is none."""
    part = table.get(name) or {}
    if not isinstance(part, Mapping):
        raise refusal(name, part)
    return part


def head_width(fields: Values) -> int:
    """Width of a head from the fields that were read before."""
    return fields.get("d_head") or fields["d_model"] // fields["n_heads"]


def share_of(config: ModelConfig) -> float:
    """The share of a head that is turned, such that their int(head_dim * share) gives exactly our rotary_dim."""
    turned = config.rotary_dim or config.head_dim
    share = turned / config.head_dim
    return share if int(config.head_dim * share) == turned else math.nextafter(share, 2.0)


def scaling_of(table: Mapping[str, Any], theirs: Values, fields: Values) -> dict[str, Any]:
    """Fields of ours about scaling."""
    kind = table.get("rope_type", table.get("type", "default"))
    n_ctx: Any = fields.get("n_ctx")
    original = table.get(ORIGINAL, theirs.get(ORIGINAL, n_ctx))
    match kind:
        case "default" | None:
            return {"rope_scaling": "none"}
        case "linear":
            return {"rope_scaling": "linear", "rope_factor": table.get("factor")}
        case "dynamic":  # their max_position_embeddings is what the model was trained for; it reads further
            factor = table.get("factor")
            reach = attempt(lambda: int(n_ctx * factor), "factor", factor)
            return {"rope_scaling": "dynamic", "rope_factor": factor, "rope_original_ctx": n_ctx, "n_ctx": reach}
        case "llama3":
            named = {ours: table[name] for ours, name in LLAMA3.items() if name in table}
            return {"rope_scaling": "llama3", "rope_factor": table.get("factor"), "rope_original_ctx": original} | named
        case "yarn":
            factor = table.get("factor") or attempt(lambda: n_ctx / original, ORIGINAL, original)
            named = {ours: table[name] for ours, name in YARN.items() if table.get(name) is not None}
            weights: list[Any] = [table.get("mscale"), table.get("mscale_all_dim")]
            if all(weights) and "rope_attention_factor" not in named:
                longer = attempt(lambda: [magnitude(factor, weight) for weight in weights], "mscale", weights)
                named["rope_attention_factor"] = longer[0] / longer[1]
            return {"rope_scaling": "yarn", "rope_factor": factor, "rope_original_ctx": original} | named
    raise refusal("rope_type", kind)


def magnitude(factor: float, weight: float = 1.0) -> float:
    """How much longer YaRN makes what it turns: 0.1 · weight · ln(factor) + 1."""
    return 0.1 * weight * math.log(factor) + 1.0 if factor > 1 else 1.0


def scaling_table(config: ModelConfig) -> dict[str, Any]:
    """Their table for the scaling of a configuration."""
    if config.rope_scaling == "none":
        return {"rope_type": "default"}
    table: dict[str, Any] = {"rope_type": config.rope_scaling, "factor": config.rope_factor}
    named = {"llama3": LLAMA3, "yarn": YARN}.get(config.rope_scaling, {})
    table |= {name: getattr(config, ours) for ours, name in named.items() if getattr(config, ours) is not None}
    if config.rope_scaling in ("llama3", "yarn"):
        table[ORIGINAL] = original_context(config)
    return table


def original_context(config: ModelConfig) -> int:
    """The context that a model was trained for before it was stretched."""
    return config.rope_original_ctx or int(config.n_ctx / config.rope_factor)


def shorter_context(config: ModelConfig) -> dict[str, Any]:
    """With dynamic scaling their max_position_embeddings is the context before it was stretched."""
    return {"max_position_embeddings": original_context(config)} if config.rope_scaling == "dynamic" else {}
