"""Fields of ModelConfig: how large everything is, and which component fills each slot."""

from dataclasses import dataclass

from config.catalog import names
from config.fields import Settings, setting


@dataclass(frozen=True, kw_only=True)
class SizeFields(Settings):
    """Sizes and components: what a person chooses first."""

    d_model: int = setting(
        128, group="Size", title="Width", symbol="d_model", typical="128 to 768", minimum=1, maximum=65_536, basic=True
    )
    """Length of the vector that carries each token through the model."""

    n_layers: int = setting(
        4, group="Size", title="Layers", symbol="n_layers", typical="4 to 12", minimum=1, maximum=1_024, basic=True
    )
    """How many transformer blocks stand one on the other."""

    n_heads: int = setting(
        4, group="Size", title="Heads", symbol="n_heads", typical="4 to 12", minimum=1, maximum=1_024, basic=True
    )
    """How many attention patterns each layer computes side by side."""

    n_kv_heads: int | None = setting(
        None, group="Size", title="Key/value heads", symbol="n_kv_heads", typical="as many as heads", minimum=1,
        maximum=1_024, basic=True,
    )  # fmt: skip
    """Heads share keys and values in groups: unset is multi-head, 1 is multi-query, between is grouped-query."""

    d_head: int | None = setting(
        None, group="Size", title="Head width", symbol="d_head", typical="d_model / n_heads", unit="dimensions",
        minimum=1, maximum=8_192,
    )  # fmt: skip
    """Length of one head's query, key and value; unset means d_model / n_heads, which must then divide."""

    d_mlp: int = setting(
        512,
        group="Size",
        title="MLP width",
        symbol="d_mlp",
        typical="4 × d_model",
        minimum=1,
        maximum=262_144,
        basic=True,
    )
    """Hidden width of the MLP in each block."""

    n_ctx: int = setting(
        64, group="Size", title="Context", symbol="n_ctx", typical="64 to 1024", unit="tokens", minimum=1,
        maximum=1_048_576, basic=True,
    )  # fmt: skip
    """How many tokens the model sees at once."""

    d_vocab: int = setting(
        50_257, group="Size", title="Vocabulary", symbol="d_vocab", typical="follows the tokenizer", unit="tokens",
        minimum=1, maximum=4_194_304,
    )  # fmt: skip
    """How many different tokens there are; in training it follows the tokenizer."""

    position: str = setting(
        "learned", group="Components", title="Positions", typical="rope",
        choices=(*names("position"), "none"), basic=True,
    )  # fmt: skip
    """How the model knows the order of tokens."""

    norm: str = setting(
        "layernorm", group="Components", title="Norm", typical="rmsnorm", choices=names("norm"), basic=True
    )
    """What keeps the size of the activations in check at each part."""

    mlp: str = setting("gelu", group="Components", title="MLP", typical="swiglu", choices=names("mlp"), basic=True)
    """What each token does on its own between two attentions."""

    attention: str = setting(
        "multi_head", group="Components", title="Attention", typical="multi_head", choices=names("attention")
    )
    """How tokens gather from those before them: keys and values of their own, or unpacked from a latent (MLA)."""
