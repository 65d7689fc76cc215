"""Latent attention (MLA): the settings of attention whose keys and values are unpacked from one small vector.

DeepSeek-V2, arXiv:2405.04434, section 2.1. `d_head` is here the part of a query or key that knows no position.
"""

from dataclasses import dataclass

from config.fields import Settings, setting

WITH_LATENT = ("attention", ("mla",))


@dataclass(frozen=True, kw_only=True)
class LatentFields(Settings):
    """The part of ModelConfig that is about latent attention; without effect beside any other attention."""

    kv_rank: int | None = setting(
        None, group="Attention", title="Latent width", symbol="d_c", typical="4 × d_head", minimum=1, maximum=65_536,
        only_when=WITH_LATENT,
    )  # fmt: skip
    """Length of the vector from which the keys and values of all heads are unpacked, and which alone is cached."""

    q_rank: int | None = setting(
        None, group="Attention", title="Query latent width", symbol="d_c′", typical="unset; 1536 in DeepSeek-V3",
        minimum=1, maximum=65_536, only_when=WITH_LATENT,
    )  # fmt: skip
    """Length of the vector from which queries are unpacked; unset projects them directly, as DeepSeek-V2-Lite does."""

    d_head_rope: int | None = setting(
        None, group="Attention", title="Rotary head width", symbol="d_h^R", typical="d_head / 2", minimum=2,
        maximum=8_192, only_when=(WITH_LATENT, ("position", ("rope",))),
    )  # fmt: skip
    """How much of a query, and of one key shared by all heads, RoPE turns, beside the d_head that knows no position."""

    d_head_value: int | None = setting(
        None, group="Attention", title="Value head width", symbol="d_v", typical="d_head", minimum=1, maximum=8_192,
        only_when=WITH_LATENT,
    )  # fmt: skip
    """Length of one head's value; unset means d_head."""
