"""What a model is: sizes, components and switches. Pure data; building one touches nothing."""

from dataclasses import dataclass
from typing import ClassVar

from config.catalog import names
from config.expert_fields import ExpertFields
from config.expert_rules import EXPERT_RULES
from config.fields import setting
from config.latent_fields import LatentFields
from config.model_rules import RULES
from config.patterns import spread


@dataclass(frozen=True, kw_only=True)
class ModelConfig(LatentFields, ExpertFields):
    """The architecture of a decoder-only transformer.

    Raises:
        ConfigError: with *all* problems at once, each naming its field, the numbers and what to do.
    """

    RULES: ClassVar = RULES + EXPERT_RULES

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

    norm_placement: str = setting(
        "pre", group="Components", title="Norm placement", typical="pre", choices=("pre", "post")
    )
    """Before each part (GPT-2 and later; trains calmly) or after the residual sum (the 2017 Transformer)."""

    norm_eps: float = setting(
        1e-5, group="Components", title="Norm epsilon", symbol="ε", typical="1e-5", minimum=1e-12, maximum=1.0
    )
    """Added to the variance under the square root, so that nothing is divided by zero."""

    rope_theta: float = setting(
        10_000.0, group="Components", title="RoPE base", symbol="θ", typical="10,000", minimum=1.0, maximum=1e9,
        only_when=("position", ("rope",)),
    )  # fmt: skip
    """Base of the rotation frequencies: larger turns slower and reaches further."""

    gelu_form: str = setting(
        "tanh", group="Components", title="GELU form", typical="tanh", choices=("tanh", "exact"),
        only_when=("mlp", ("gelu",)),
    )  # fmt: skip
    """GPT-2's tanh approximation, or the exact Gaussian; they differ by at most 0.0005."""

    swiglu_clamp: float | None = setting(
        None, group="Components", title="SwiGLU clamp", typical="unset; 7 in gpt-oss", minimum=1e-3, maximum=1e6,
        only_when=("mlp", ("swiglu",)),
    )  # fmt: skip
    """Keep gate and up within this size, as gpt-oss does in its form: gate · sigmoid(1.702 · gate) · (up + 1)."""

    tie_embeddings: bool = setting(True, group="Switches", title="Tie embeddings", typical="on in small models")
    """Use the token embedding also as the unembedding: one matrix fewer to learn."""

    norm_bias: bool = setting(
        True, group="Switches", title="Norm bias", symbol="β", typical="on", only_when=("norm", ("layernorm",))
    )
    """Whether LayerNorm adds a learned offset; RMSNorm has none."""

    qkv_bias: bool = setting(True, group="Switches", title="Query, key, value bias", typical="off since LLaMA")
    """Whether the projections to queries, keys and values add a learned offset."""

    attention_sinks: bool = setting(False, group="Switches", title="Attention sinks", typical="off; on in gpt-oss")
    """A learned score for each head that takes part in the softmax and is then dropped: a head may look at nothing."""

    attention_out_bias: bool = setting(True, group="Switches", title="Attention output bias", typical="off since LLaMA")
    """Whether the projection after attention adds a learned offset."""

    mlp_bias: bool = setting(True, group="Switches", title="MLP bias", typical="off since LLaMA")
    """Whether the projections of the MLP add learned offsets."""

    dropout: float = setting(0.0, group="Switches", title="Dropout", symbol="p", typical="0, or 0.1 on little text",
                             minimum=0.0, maximum=0.95)  # fmt: skip
    """Share of activations zeroed at random while training; helps when a text is read many times over."""

    init_std: float = setting(
        0.02, group="Switches", title="Initial spread", symbol="σ", typical="0.02", minimum=1e-6, maximum=10.0
    )
    """Standard deviation of the initial weights."""

    scale_residual_init: bool = setting(True, group="Switches", title="Scale residual projections", typical="on")
    """Start the two projections that write into the residual stream smaller, by 1/√(2·n_layers) (GPT-2)."""

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
            return self.head_dim
        if self.position != "rope":
            return 0
        return self.d_head_rope if self.d_head_rope is not None else max(2, self.head_dim // 4 * 2)

    @property
    def value_head_dim(self) -> int:
        """Width of one head's value: head_dim, but in latent attention d_head_value where that is set."""
        own = self.d_head_value if self.attention == "mla" else None
        return own if own is not None else self.head_dim

    @property
    def expert_width(self) -> int:
        """Hidden width of one expert: d_expert, or d_mlp where it is unset."""
        return self.d_expert if self.d_expert is not None else self.d_mlp

    @property
    def expert_layers(self) -> tuple[bool, ...]:
        """Whether each layer has experts."""
        if self.n_experts is None:
            return (False,) * self.n_layers
        return tuple(letter == "m" for letter in spread(self.moe_pattern, self.n_layers))
