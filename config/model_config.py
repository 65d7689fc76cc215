"""What a model is: sizes, components and switches. Pure data; building one touches nothing.

The fields stand in a file for each group: size_fields, norm_fields, position_fields, attention_fields, latent_fields,
mlp_fields, expert_fields, end_fields, initial_fields; which of them go together, in model_rules and expert_rules. Every
default leaves a model as it was before the field existed, so old files still open.
"""

from dataclasses import dataclass
from typing import ClassVar

from config.attention_fields import AttentionFields
from config.catalog import entry
from config.end_fields import EndFields
from config.expert_fields import ExpertFields
from config.expert_rules import EXPERT_RULES
from config.initial_fields import InitialFields
from config.latent_fields import LatentFields
from config.mlp_fields import MLPFields
from config.model_rules import RULES
from config.norm_fields import NormFields
from config.patterns import spread
from config.position_fields import PositionFields
from config.size_fields import SizeFields


@dataclass(frozen=True, kw_only=True)
class ModelConfig(
    SizeFields,
    NormFields,
    PositionFields,
    AttentionFields,
    LatentFields,
    MLPFields,
    ExpertFields,
    EndFields,
    InitialFields,
):
    """The architecture of a decoder-only transformer.

    Raises:
        ConfigError: with *all* problems at once, each naming its field, the numbers and what to do.
    """

    RULES: ClassVar = RULES + EXPERT_RULES

    @property
    def head_dim(self) -> int:
        """Width of one head: d_head, or d_model / n_heads where it is unset."""
        return self.d_head if self.d_head is not None else self.d_model // self.n_heads

    @property
    def kv_heads(self) -> int:
        """Number of key/value heads: n_kv_heads, or n_heads where it is unset."""
        return self.n_kv_heads if self.n_kv_heads is not None else self.n_heads

    @property
    def d_attention(self) -> int:
        """Width of what all heads mix together; equals d_model unless d_head or d_head_value is set."""
        return self.n_heads * self.value_head_dim

    @property
    def latent_rank(self) -> int:
        """Width of the latent of keys and values in latent attention: kv_rank, or 4 · head_dim where it is unset."""
        return self.kv_rank if self.kv_rank is not None else 4 * self.head_dim

    @property
    def rope_head_dim(self) -> int:
        """Dimensions of a query or key that RoPE turns: in latent attention a part of their own, 0 without RoPE."""
        if self.attention != "mla":
            return self.rotary_dim if self.rotary_dim is not None else self.head_dim
        if self.position != "rope":
            return 0
        return self.d_head_rope if self.d_head_rope is not None else max(2, self.head_dim // 4 * 2)

    @property
    def query_width(self) -> int:
        """Length of what meets in a score: head_dim, and in latent attention the rotary part beside it."""
        return self.head_dim + (self.rope_head_dim if self.attention == "mla" else 0)

    @property
    def score_scale(self) -> float:
        """What scores are multiplied by before the softmax: attention_scale, or 1 / √query_width where it is unset."""
        return self.attention_scale if self.attention_scale is not None else self.query_width**-0.5

    @property
    def rope_trained_ctx(self) -> int:
        """The context of the training before scaling: rope_original_ctx, or n_ctx / rope_factor where it is unset."""
        own = self.rope_original_ctx
        return own if own is not None else max(1, round(self.n_ctx / self.rope_factor))

    @property
    def angles_grow(self) -> bool:
        """Whether RoPE's angles depend on how long the text is, so that cached keys of a longer one are out of date."""
        return self.position == "rope" and self.rope_scaling == "dynamic" and self.n_ctx > self.rope_trained_ctx

    @property
    def value_head_dim(self) -> int:
        """Width of one head's value: head_dim, but in latent attention d_head_value where that is set."""
        own = self.d_head_value if self.attention == "mla" else None
        return own if own is not None else self.head_dim

    @property
    def cached_shape(self) -> tuple[int, int]:
        """Heads and width of what a KV cache holds of a token in each layer: keys and values of the kv heads, or in
        latent attention as one head the latent and the shared key."""
        if self.attention == "mla":
            return 1, self.latent_rank + self.rope_head_dim
        return 2 * self.kv_heads, self.head_dim

    @property
    def expert_width(self) -> int:
        """Hidden width of one expert: d_expert, or d_mlp where it is unset."""
        return self.d_expert if self.d_expert is not None else self.d_mlp

    @property
    def shared_width(self) -> int:
        """Hidden width of the MLP that all tokens share beside the experts; 0 where there is none."""
        return self.n_shared_experts * self.expert_width

    @property
    def expert_layers(self) -> tuple[bool, ...]:
        """Whether each layer has experts."""
        if self.n_experts is None:
            return (False,) * self.n_layers
        return tuple(letter == "m" for letter in spread(self.moe_pattern, self.n_layers))

    @property
    def has_gate(self) -> bool:
        """Whether the MLP widens twice, once for a gate."""
        return entry("mlp", self.mlp).class_name == "GatedMLP"

    @property
    def windows(self) -> tuple[int | None, ...]:
        """How many tokens each layer looks at, itself included; None for all of them."""
        return tuple(self.window if letter == "w" else None for letter in spread(self.attention_pattern, self.n_layers))

    @property
    def position_layers(self) -> tuple[bool, ...]:
        """Whether RoPE or ALiBi acts in each layer; learned and sinusoidal positions act before the first one."""
        return tuple(letter == "p" for letter in spread(self.position_pattern, self.n_layers))
