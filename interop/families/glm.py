"""GLM-4: half of each head turned, in neighbouring pairs; biases on queries, keys and values; gate and up packed.

GLM-4-0414 (glm4) adds norms on what each part adds.
"""

from interop.families.llama import NAMES, NO_BIAS, ROPE_AND_RMSNORM, heads, sizes
from interop.family import Family
from interop.keys import Activation, Plain
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
