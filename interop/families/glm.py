"""GLM-4: half of each head turned, in neighbouring pairs; biases on queries, keys and values; gate and up packed.

GLM-4-0414 (glm4) adds norms on what each part adds. GLM-4.5 (glm4_moe) pairs the two halves of the turned part and has
DeepSeek V3's experts; its released files have one more layer, which is not read.
"""

from interop.expert_keys import DenseFirst
from interop.families.deepseek import SHARED_EXPERTS
from interop.families.llama import NAMES, NO_BIAS, ROPE_AND_RMSNORM, heads, sizes
from interop.families.qwen import EXPERTS, QK_NORM
from interop.family import Family
from interop.keys import Activation, Changed, Plain
from interop.latent_keys import ExpertGroups
from interop.position_keys import Rope

FIXED = {**ROPE_AND_RMSNORM, **NO_BIAS, "rope_style": "interleaved"}
KEYS = (
    *sizes(151_552, 4_096, 13_696, 40, 32, 131_072),
    *heads(2, 128),
    Activation("hidden_act", "silu", gated=True),
    Plain("rms_norm_eps", "norm_eps", 1.5625e-7),
    Rope(share=0.5),
    Plain("attention_bias", "qkv_bias", True),
    Plain("tie_word_embeddings", "tie_embeddings", False),
)
PARTS = NAMES.with_parts(
    {("mlp.gate_proj", "mlp.up_proj"): "mlp.gate_up_proj"}, without=("mlp.gate_proj", "mlp.up_proj")
)

GLM = Family(model_type="glm", class_name="GlmForCausalLM", presets=("glm",), fixed=FIXED, keys=KEYS, names=PARTS)

GLM4 = Family(
    model_type="glm4",
    class_name="Glm4ForCausalLM",
    presets=("glm4",),
    fixed={**FIXED, "norm_placement": "sandwich"},
    keys=KEYS,
    names=PARTS.with_parts(
        {"attention_output_norm": "post_self_attn_layernorm", "mlp_output_norm": "post_mlp_layernorm"}
    ),
)

GLM4_MOE = Family(
    model_type="glm4_moe",
    class_name="Glm4MoeForCausalLM",
    presets=("glm4_moe",),
    fixed={**ROPE_AND_RMSNORM, **NO_BIAS, "router": "sigmoid", "router_selection_bias": True},
    keys=(
        *sizes(151_552, 4_096, 10_944, 46, 96, 131_072),
        *heads(8),
        Activation("hidden_act", "silu", gated=True),
        Plain("rms_norm_eps", "norm_eps", 1e-5),
        Rope(share=0.5),
        Plain("attention_bias", "qkv_bias", False),
        Changed(
            "use_qk_norm", "qk_norm", False,
            to_ours=lambda on, fields: "head" if on else "none", to_theirs=lambda config: config.qk_norm == "head",
        ),
        Plain("n_routed_experts", "n_experts", 128, also="num_experts"),
        Plain("num_experts_per_tok", "experts_per_token", 8),
        Plain("moe_intermediate_size", "d_expert", 1_408, written="expert_width"),
        Plain("n_shared_experts", "n_shared_experts", 1),
        Plain("routed_scaling_factor", "router_scale", 1.0),
        Plain("norm_topk_prob", "router_renormalize", True),
        ExpertGroups(1, 1),
        DenseFirst(1),
        Plain("tie_word_embeddings", "tie_embeddings", False),
    ),
    harmless=("num_nextn_predict_layers", "num_mtp_layers"),
    names=NAMES.with_parts(QK_NORM | EXPERTS | SHARED_EXPERTS).ignoring(r"model\.layers\.(46|92)\..*"),
)  # fmt: skip
