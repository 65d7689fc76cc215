"""Mistral: LLaMA with shared keys and values and, in its first version, a window in every layer; Mixtral: with experts.
MiniMax M2: with experts scored by sigmoids, half of each head turned, and a norm on all queries and keys together.

On disk, Mixtral's experts have names of their own: w1 is the gate, w3 goes up, w2 comes down.
"""

from interop.families.llama import NAMES, NO_BIAS, ROPE_AND_RMSNORM, heads, sizes
from interop.families.qwen import QK_NORM
from interop.family import Family
from interop.keys import Activation, Plain
from interop.layer_keys import WindowEverywhere
from interop.position_keys import Rope

EXPERTS = {
    "mlp.router.score_proj": "block_sparse_moe.gate",
    "mlp.experts.{e}.gate_proj": "block_sparse_moe.experts.{e}.w1",
    "mlp.experts.{e}.up_proj": "block_sparse_moe.experts.{e}.w3",
    "mlp.experts.{e}.down_proj": "block_sparse_moe.experts.{e}.w2",
}

MISTRAL = Family(
    model_type="mistral",
    class_name="MistralForCausalLM",
    presets=("mistral",),
    fixed={**ROPE_AND_RMSNORM, **NO_BIAS},
    keys=(
        *sizes(32_000, 4_096, 14_336, 32, 32, 131_072),
        *heads(8, 128),
        Activation("hidden_act", "silu", gated=True),
        Plain("rms_norm_eps", "norm_eps", 1e-6),
        Rope(),
        WindowEverywhere(default=4_096),
        Plain("tie_word_embeddings", "tie_embeddings", False),
    ),
    names=NAMES,
)

MIXTRAL = Family(
    model_type="mixtral",
    class_name="MixtralForCausalLM",
    presets=("mixtral",),
    fixed={**ROPE_AND_RMSNORM, **NO_BIAS},
    keys=(
        *sizes(32_000, 4_096, 14_336, 32, 32, 131_072, of_experts=True),
        *heads(8),
        Activation("hidden_act", "silu", gated=True),
        Plain("rms_norm_eps", "norm_eps", 1e-5),
        Rope(theta=1_000_000.0),
        WindowEverywhere(),
        Plain("num_local_experts", "n_experts", 8),
        Plain("num_experts_per_tok", "experts_per_token", 2),
        Plain("tie_word_embeddings", "tie_embeddings", False),
    ),
    only={"router_jitter_noise": 0.0},
    names=NAMES.with_parts(EXPERTS),
)

MINIMAX_M2 = Family(
    model_type="minimax_m2",
    class_name="MiniMaxM2ForCausalLM",
    presets=("minimax_m2",),
    fixed={**ROPE_AND_RMSNORM, **NO_BIAS, "qk_norm": "full", "router": "sigmoid", "router_selection_bias": True},
    keys=(
        *sizes(200_064, 3_072, 1_536, 62, 48, 196_608, of_experts=True),
        *heads(8, 128),
        Activation("hidden_act", "silu", gated=True),
        Plain("rms_norm_eps", "norm_eps", 1e-6),
        Rope(theta=5_000_000.0, share=1.0),
        Plain("num_local_experts", "n_experts", 256, also="num_experts"),
        Plain("num_experts_per_tok", "experts_per_token", 8),
        Plain("tie_word_embeddings", "tie_embeddings", False),
    ),
    only={"router_jitter_noise": 0.0},
    names=NAMES.with_parts(
        {**QK_NORM, **EXPERTS, "mlp.router.selection_bias": "block_sparse_moe.e_score_correction_bias"}
    ),
)
