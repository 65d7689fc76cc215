"""OLMo 1: LLaMA with a LayerNorm that learns nothing. OLMo 2: norms on what each part adds, and on all queries and keys
together. OLMo 3: windows in three of four layers, YaRN in the others. OLMoE: LLaMA's places for the norms, experts.

The OLMo of this project's button (ALiBi) is no released model and no family here.
"""

from interop.families.llama import ATTENTION_BIAS, NAMES, NO_BIAS, ROPE_AND_RMSNORM, heads, sizes
from interop.families.qwen import EXPERTS, QK_NORM
from interop.family import Family
from interop.keys import Activation, Plain
from interop.layer_keys import LayerTypes, one_full_in
from interop.position_keys import Rope, RopeByLayer

OUTPUT_NORMS = {"attention_output_norm": "post_attention_layernorm", "mlp_output_norm": "post_feedforward_layernorm"}

OLMO = Family(
    model_type="olmo",
    class_name="OlmoForCausalLM",
    presets=("olmo1",),
    fixed={"position": "rope", "norm": "layernorm", "norm_gain": False, "norm_bias": False, "mlp_bias": False,
           "norm_eps": 1e-5},
    keys=(
        *sizes(50_304, 4_096, 11_008, 32, 32, 2_048),
        *heads(free_width=False),
        Activation("hidden_act", "silu", gated=True),
        Rope(),
        *ATTENTION_BIAS,
        Plain("clip_qkv", "clip_qkv"),
        Plain("tie_word_embeddings", "tie_embeddings", False),
    ),
    names=NAMES,
)  # fmt: skip

OLMO2 = Family(
    model_type="olmo2",
    class_name="Olmo2ForCausalLM",
    presets=("olmo2",),
    fixed={**ROPE_AND_RMSNORM, "mlp_bias": False, "norm_placement": "output", "qk_norm": "full"},
    keys=(
        *sizes(50_304, 4_096, 11_008, 32, 32, 2_048),
        *heads(free_width=False),
        Activation("hidden_act", "silu", gated=True),
        Plain("rms_norm_eps", "norm_eps", 1e-5),
        Rope(),
        *ATTENTION_BIAS,
        Plain("tie_word_embeddings", "tie_embeddings", False),
    ),
    names=NAMES.with_parts(OUTPUT_NORMS | QK_NORM),
)

OLMO3 = Family(
    model_type="olmo3",
    class_name="Olmo3ForCausalLM",
    presets=("olmo3",),
    fixed=OLMO2.fixed,
    keys=(
        *sizes(50_304, 4_096, 11_008, 32, 32, 2_048),
        *heads(free_width=False),
        Activation("hidden_act", "silu", gated=True),
        Plain("rms_norm_eps", "norm_eps", 1e-5),
        LayerTypes(one_full_in(4), 4_096),
        RopeByLayer(500_000.0, None),
        *ATTENTION_BIAS,
        Plain("tie_word_embeddings", "tie_embeddings", False),
    ),
    names=OLMO2.names,
)

OLMOE = Family(
    model_type="olmoe",
    class_name="OlmoeForCausalLM",
    presets=("olmoe",),
    fixed={**ROPE_AND_RMSNORM, **NO_BIAS, "qk_norm": "full"},
    keys=(
        *sizes(50_304, 2_048, 2_048, 16, 16, 4_096, of_experts=True),
        *heads(free_width=False),
        Activation("hidden_act", "silu", gated=True),
        Plain("rms_norm_eps", "norm_eps", 1e-5),
        Rope(),
        *ATTENTION_BIAS,
        Plain("clip_qkv", "clip_qkv"),
        Plain("num_experts", "n_experts", 64, also="num_local_experts"),
        Plain("num_experts_per_tok", "experts_per_token", 8),
        Plain("norm_topk_prob", "router_renormalize", False),
        Plain("tie_word_embeddings", "tie_embeddings", False),
    ),
    names=NAMES.with_parts(QK_NORM | EXPERTS),
)
