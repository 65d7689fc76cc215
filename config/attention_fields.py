"""Fields of ModelConfig: what attention does beside its heads, and how far it looks in each layer."""

from dataclasses import dataclass

from config.fields import WITH_LETTER, Settings, setting


@dataclass(frozen=True, kw_only=True)
class AttentionFields(Settings):
    """Biases, windows, norms and limits of attention."""

    attention_pattern: str = setting(
        "f", group="Attention", title="Reach of the layers", typical="f; wf: windows in every 2nd (Gemma 2)",
    )  # fmt: skip
    """One letter for each layer, repeated over the layers: f looks at the full text, w through a window."""

    window: int | None = setting(
        None, group="Attention", title="Window", typical="a quarter of the context", unit="tokens", minimum=1,
        maximum=1_048_576, only_when=("attention_pattern", (WITH_LETTER + "w",)),
    )  # fmt: skip
    """How many tokens a window layer sees, the token itself included."""

    qk_norm: str = setting(
        "none", group="Attention", title="Query and key norm", typical="none",
        choices=("none", "head", "full", "head_separate"),
    )  # fmt: skip
    """Normalize queries and keys, so that scores cannot grow: each head (Qwen 3), all heads together (OLMo 2), or each
    head with gains of its own (Cohere)."""

    qkv_bias: bool = setting(True, group="Attention", title="Query, key, value bias", typical="off since LLaMA")
    """Whether the projections to queries, keys and values add a learned offset."""

    attention_out_bias: bool = setting(
        True, group="Attention", title="Attention output bias", typical="off since LLaMA"
    )
    """Whether the projection after attention adds a learned offset."""

    attention_sinks: bool = setting(
        False, group="Attention", title="Attention sinks", typical="off; on in gpt-oss", rare=True
    )
    """A learned score for each head that takes part in the softmax and is then dropped: a head may look at nothing."""

    clip_qkv: float | None = setting(
        None, group="Attention", title="Clip queries, keys, values", typical="unset; 8 in MPT", minimum=1e-3,
        maximum=1e6, rare=True,
    )  # fmt: skip
    """Cut queries, keys and values off at this size, above and below zero."""

    attention_scale: float | None = setting(
        None, group="Attention", title="Attention scale", typical="1 / √d_head", minimum=1e-6, maximum=1e3, rare=True
    )
    """Scores are multiplied by this before the softmax; unset means 1 / √d_head."""

    attention_softcap: float | None = setting(
        None, group="Attention", title="Score cap", typical="unset; 50 in Gemma 2", minimum=1e-3, maximum=1e6, rare=True
    )
    """Bend scores with tanh, so that none is larger than this."""
