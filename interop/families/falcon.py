"""Falcon: attention and MLP side by side, keys and values for all heads or for groups of them, packed group by group.

Three generations say in different keys which of it they are: 7B has one kv head and one norm (multi_query), 40B groups
and two norms (new_decoder_architecture), 11B groups and one norm. The RW models have ALiBi in a form of their own
(divided by √d_head, in bfloat16) and are not read.
"""

from dataclasses import dataclass
from typing import Any

from config.model_config import ModelConfig
from interop.family import Family
from interop.keys import Activation, Computed, Key, Plain, Values
from interop.position_keys import Rope
from interop.tensor_names import Names, by_head


@dataclass(frozen=True)
class Generation(Key):
    """How many kv heads, and which norms stand before the two parts."""

    names = ("new_decoder_architecture", "num_kv_heads", "multi_query", "parallel_attn", "num_ln_in_parallel_attn")

    def read(self, theirs: Values, fields: Values) -> dict[str, Any]:
        if theirs.get("new_decoder_architecture", False):
            one_norm = theirs.get("num_ln_in_parallel_attn") == 1
            return {
                "n_kv_heads": theirs.get("num_kv_heads"),
                "parallel_residual": "one_norm" if one_norm else "two_norms",
            }
        return {
            "n_kv_heads": 1 if theirs.get("multi_query", True) else None,
            "parallel_residual": "one_norm" if theirs.get("parallel_attn", True) else "none",
        }

    def write(self, config: ModelConfig) -> dict[str, Any]:
        in_groups = 1 < config.kv_heads < config.n_heads
        if in_groups or config.parallel_residual == "two_norms":
            norms = 1 if config.parallel_residual == "one_norm" else 2
            return {"new_decoder_architecture": True, "num_kv_heads": config.kv_heads, "num_ln_in_parallel_attn": norms}
        parallel = config.parallel_residual == "one_norm"
        return {
            "new_decoder_architecture": False, "multi_query": config.kv_heads == 1, "parallel_attn": parallel,
            "num_kv_heads": config.kv_heads, "num_ln_in_parallel_attn": None,
        }  # fmt: skip


NAMES = Names(
    prefix="transformer.",
    model={"token_embedding": "word_embeddings", "final_norm": "ln_f"},
    block="h.{n}.",
    parts={
        "attention_norm": "input_layernorm",
        "attention.qkv_proj": by_head("self_attention.query_key_value"),
        "attention.out_proj": "self_attention.dense",
        "mlp_norm": "post_attention_layernorm",
        "mlp.up_proj": "mlp.dense_h_to_4h",
        "mlp.down_proj": "mlp.dense_4h_to_h",
    },
)
TWO_NORMS = NAMES.with_parts({"attention_norm": "ln_attn", "mlp_norm": "ln_mlp"})

FALCON = Family(
    model_type="falcon",
    class_name="FalconForCausalLM",
    presets=("falcon",),
    fixed={"position": "rope", "norm": "layernorm"},
    keys=(
        Plain("vocab_size", "d_vocab", 65_024),
        Plain("hidden_size", "d_model", 4_544, also="n_embed"),
        Plain("num_hidden_layers", "n_layers", 32, also="n_layer"),
        Plain("num_attention_heads", "n_heads", 71, also="n_head"),
        Plain("max_position_embeddings", "n_ctx", 2_048),
        Computed("d_mlp", lambda fields: 4 * fields["d_model"], theirs="ffn_hidden_size"),
        Generation(),
        Activation("activation", "gelu", gated=False),
        Plain("layer_norm_epsilon", "norm_eps", 1e-5),
        Rope(),
        Plain("bias", "qkv_bias", False),
        Plain("bias", "attention_out_bias", False),
        Plain("bias", "mlp_bias", False),
        Plain("tie_word_embeddings", "tie_embeddings", True),
    ),
    only={"alibi": False},
    harmless=("apply_residual_connection_post_layernorm", "rotary"),
    names=lambda config: TWO_NORMS if config.parallel_residual == "two_norms" else NAMES,
)
