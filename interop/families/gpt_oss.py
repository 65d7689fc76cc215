"""gpt-oss: a learned score in every softmax that leads nowhere (sinks), a window in every second layer, YaRN, and
experts that clamp what they multiply. The experts lie stacked, [expert in out], columns of gate and up in turn.

The released files hold the experts in four bits (MXFP4), which cannot be read here: unpack them with `transformers`.
"""

from interop.families.llama import NAMES, ROPE_AND_RMSNORM, heads, sizes
from interop.family import Family
from interop.keys import Plain
from interop.layer_keys import LayerTypes, one_full_in
from interop.position_keys import Rope
from interop.tensor_names import stacked, stacked_in_turn

GPT_OSS = Family(
    model_type="gpt_oss",
    class_name="GptOssForCausalLM",
    presets=("gpt_oss",),
    fixed={**ROPE_AND_RMSNORM, "mlp": "swiglu", "attention_sinks": True, "router_bias": True},
    keys=(
        *sizes(201_088, 2_880, 2_880, 36, 64, 131_072, of_experts=True),
        *heads(8, 64),
        Plain("rms_norm_eps", "norm_eps", 1e-5),
        LayerTypes(one_full_in(2), 128),
        Rope(theta=150_000.0, default={"rope_type": "yarn", "factor": 32.0, "beta_fast": 32.0, "beta_slow": 1.0,
                                       "truncate": False, "original_max_position_embeddings": 4_096}),
        Plain("attention_bias", "qkv_bias", True),
        Plain("attention_bias", "attention_out_bias", True),
        Plain("num_local_experts", "n_experts", 128, also="num_experts"),
        Plain("num_experts_per_tok", "experts_per_token", 4, also="experts_per_token"),
        Plain("swiglu_limit", "swiglu_clamp", 7.0),
        Plain("tie_word_embeddings", "tie_embeddings", False),
    ),
    only={"swiglu_alpha": 1.702},
    harmless=("hidden_act", "initial_context_length"),
    names=NAMES.with_parts(
        {
            "attention.sinks": "self_attn.sinks",
            "mlp.router.score_proj": "mlp.router",
            ("mlp.experts.*.gate_proj.weight", "mlp.experts.*.up_proj.weight"):
                stacked_in_turn("mlp.experts.gate_up_proj"),
            ("mlp.experts.*.gate_proj.bias", "mlp.experts.*.up_proj.bias"):
                stacked_in_turn("mlp.experts.gate_up_proj_bias"),
            ("mlp.experts.*.down_proj.weight",): stacked("mlp.experts.down_proj"),
            ("mlp.experts.*.down_proj.bias",): stacked("mlp.experts.down_proj_bias"),
        }
    ),
)  # fmt: skip
