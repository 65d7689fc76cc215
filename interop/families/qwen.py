"""Qwen 2 and 2.5: LLaMA with biases on queries, keys and values. Qwen 3: a norm on each head of them instead.

Qwen2-MoE and Qwen3-MoE replace the MLP by experts; the first has shared ones behind a gate. A model with windows has
them from layer max_window_layers on.
"""

from interop.expert_keys import SparseSteps
from interop.families.llama import ATTENTION_BIAS, NAMES, NO_BIAS, ROPE_AND_RMSNORM, heads, sizes
from interop.family import Family
from interop.keys import Activation, Changed, Plain
from interop.layer_keys import LayerTypes, WindowEverywhere, from_layer_on
from interop.position_keys import Rope

WINDOWS = LayerTypes(from_layer_on, None, switch="use_sliding_window")
QK_NORM = {"attention.query_norm.norm": "self_attn.q_norm", "attention.key_norm.norm": "self_attn.k_norm"}
EXPERTS = {
    "mlp.router.score_proj": "mlp.gate",
    "mlp.experts.{e}.gate_proj": "mlp.experts.{e}.gate_proj",
    "mlp.experts.{e}.up_proj": "mlp.experts.{e}.up_proj",
    "mlp.experts.{e}.down_proj": "mlp.experts.{e}.down_proj",
}

QWEN2 = Family(
    model_type="qwen2",
    class_name="Qwen2ForCausalLM",
    presets=("qwen2",),
    fixed={**ROPE_AND_RMSNORM, **NO_BIAS, "qkv_bias": True},
    keys=(
        *sizes(151_936, 4_096, 22_016, 32, 32, 32_768),
        *heads(32, free_width=False),
        Activation("hidden_act", "silu", gated=True),
        Plain("rms_norm_eps", "norm_eps", 1e-6),
        Rope(),
        WINDOWS,
        Plain("tie_word_embeddings", "tie_embeddings", False),
    ),
    names=NAMES,
    # AutoTokenizer takes Qwen2Tokenizer for every model of this type, whatever tokenizer_config.json says (version 5).
    tokenizer_class="PreTrainedTokenizerFast",
)

QWEN3 = Family(
    model_type="qwen3",
    class_name="Qwen3ForCausalLM",
    presets=("qwen3",),
    fixed={**ROPE_AND_RMSNORM, **NO_BIAS, "qk_norm": "head"},
    keys=(
        *sizes(151_936, 4_096, 22_016, 32, 32, 32_768),
        *heads(32, 128),
        Activation("hidden_act", "silu", gated=True),
        Plain("rms_norm_eps", "norm_eps", 1e-6),
        Rope(),
        *ATTENTION_BIAS,
        WINDOWS,
        Plain("tie_word_embeddings", "tie_embeddings", False),
    ),
    names=NAMES.with_parts(QK_NORM),
)

QWEN2_MOE = Family(
    model_type="qwen2_moe",
    class_name="Qwen2MoeForCausalLM",
    presets=("qwen2_moe",),
    fixed={**ROPE_AND_RMSNORM, **NO_BIAS, "shared_expert_gate": True},
    keys=(
        *sizes(151_936, 2_048, 5_632, 24, 16, 32_768),
        *heads(16, free_width=False),
        Activation("hidden_act", "silu", gated=True),
        Plain("rms_norm_eps", "norm_eps", 1e-6),
        Rope(),
        Plain("qkv_bias", "qkv_bias", True),
        WINDOWS,
        Plain("num_experts", "n_experts", 60),
        Plain("num_experts_per_tok", "experts_per_token", 4),
        Plain("moe_intermediate_size", "d_expert", 1_408, written="expert_width"),
        Plain("norm_topk_prob", "router_renormalize", False),
        SparseSteps(),
        Changed(  # one shared MLP of this width: as many shared experts as it is times wider than one of the others
            "shared_expert_intermediate_size", "n_shared_experts", 5_632,
            to_ours=lambda width, fields: exactly(width, fields["d_expert"]),
            to_theirs=lambda config: config.shared_width,
        ),
        Plain("tie_word_embeddings", "tie_embeddings", False),
    ),
    names=NAMES.with_parts(
        {
            **EXPERTS,
            "mlp.shared_expert.gate_proj": "mlp.shared_expert.gate_proj",
            "mlp.shared_expert.up_proj": "mlp.shared_expert.up_proj",
            "mlp.shared_expert.down_proj": "mlp.shared_expert.down_proj",
            "mlp.shared_gate": "mlp.shared_expert_gate",
        }
    ),
)  # fmt: skip

QWEN3_MOE = Family(
    model_type="qwen3_moe",
    class_name="Qwen3MoeForCausalLM",
    presets=("qwen3_moe",),
    fixed={**ROPE_AND_RMSNORM, **NO_BIAS, "qk_norm": "head"},
    keys=(
        *sizes(151_936, 2_048, 6_144, 24, 32, 32_768),
        *heads(4),
        Activation("hidden_act", "silu", gated=True),
        Plain("rms_norm_eps", "norm_eps", 1e-6),
        Rope(),
        *ATTENTION_BIAS,
        WindowEverywhere(switch="use_sliding_window"),
        Plain("num_experts", "n_experts", 128, also="num_local_experts"),
        Plain("num_experts_per_tok", "experts_per_token", 8),
        Plain("moe_intermediate_size", "d_expert", 768, written="expert_width"),
        Plain("norm_topk_prob", "router_renormalize", False),
        SparseSteps(),
        Plain("tie_word_embeddings", "tie_embeddings", False),
    ),
    names=NAMES.with_parts(QK_NORM | EXPERTS),
)


def exactly(width: int, part: int) -> int:
    """How many times `part` is `width`.

    Raises:
        ValueError: not a whole number of times.
    """
    times, rest = divmod(width, part)
    if rest or times < 1:
        raise ValueError(f"{width} is no multiple of {part}")
    return times
