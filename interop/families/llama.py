"""LLaMA 1, 2 and 3, and what is built like it (TinyLlama, SmolLM2): rotary positions, RMSNorm, a gated MLP.

Most families since have its names; their tables are this one with a few lines exchanged.
"""

from interop.family import Family
from interop.keys import Activation, Key, Plain
from interop.position_keys import Rope
from interop.tensor_names import Names, joined

NAMES = Names(
    prefix="model.",
    model={"token_embedding": "embed_tokens", "final_norm": "norm"},
    block="layers.{n}.",
    parts={
        "attention_norm": "input_layernorm",
        "attention.qkv_proj": joined("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
        "attention.out_proj": "self_attn.o_proj",
        "mlp_norm": "post_attention_layernorm",
        "mlp.gate_proj": "mlp.gate_proj",
        "mlp.up_proj": "mlp.up_proj",
        "mlp.down_proj": "mlp.down_proj",
    },
    ignored=r"model\.layers\.\d+\.self_attn\.rotary_emb\.inv_freq",
)

NO_BIAS = {"qkv_bias": False, "attention_out_bias": False, "mlp_bias": False}
ROPE_AND_RMSNORM = {"position": "rope", "norm": "rmsnorm", "norm_bias": False}
ATTENTION_BIAS = (
    Plain("attention_bias", "qkv_bias", False),
    Plain("attention_bias", "attention_out_bias", False),
)
"""One key for the biases of all four projections of attention."""


def sizes(
    d_vocab: int, d_model: int, d_mlp: int, n_layers: int, n_heads: int, n_ctx: int, *, of_experts: bool = False
) -> tuple[Key, ...]:
    """The keys of the sizes, with the values that the class of a family takes where they are missing.

    Args:
        of_experts: whether intermediate_size is the width of an expert, in families that have experts in every layer.
    """
    return (
        Plain("vocab_size", "d_vocab", d_vocab),
        Plain("hidden_size", "d_model", d_model),
        Plain("intermediate_size", "d_mlp", d_mlp, written="expert_width" if of_experts else ""),
        Plain("num_hidden_layers", "n_layers", n_layers),
        Plain("num_attention_heads", "n_heads", n_heads),
        Plain("max_position_embeddings", "n_ctx", n_ctx),
    )


def heads(n_kv_heads: int | None = None, d_head: int | None = None, *, free_width: bool = True) -> tuple[Key, ...]:
    """The keys of shared keys and values, and of the width of a head where a family has one."""
    shared = Plain("num_key_value_heads", "n_kv_heads", n_kv_heads, written="kv_heads")
    return (shared, Plain("head_dim", "d_head", d_head, written="head_dim")) if free_width else (shared,)


LLAMA = Family(
    model_type="llama",
    class_name="LlamaForCausalLM",
    presets=("llama", "llama3"),
    fixed=ROPE_AND_RMSNORM,
    keys=(
        *sizes(32_000, 4_096, 11_008, 32, 32, 2_048),
        *heads(),
        Activation("hidden_act", "silu", gated=True),
        Plain("rms_norm_eps", "norm_eps", 1e-6),
        Rope(),
        *ATTENTION_BIAS,
        Plain("mlp_bias", "mlp_bias", False),
        Plain("tie_word_embeddings", "tie_embeddings", False),
    ),
    names=NAMES,
)
