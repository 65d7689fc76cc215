"""Gemma: gains that are learned as their distance from 1, GEGLU, an embedding times √d_model that is also the head.

Gemma 2 adds norms on what each part adds, caps on scores and logits, a scale of attention of its own, and a window in
every second layer. Gemma 3 has norms on queries and keys in place of the caps, five window layers for each full one,
and another RoPE base in each kind. Gemma 3 carries a cap of scores in its files that its code does not use.
"""

from interop.families.llama import ATTENTION_BIAS, NAMES, NO_BIAS, ROPE_AND_RMSNORM, heads, sizes
from interop.families.qwen import QK_NORM
from interop.family import Family
from interop.keys import Activation, Changed, Computed, Plain, whole
from interop.layer_keys import LayerTypes, one_full_in
from interop.position_keys import Rope, RopeByLayer

FIXED = {**ROPE_AND_RMSNORM, **NO_BIAS, "norm_unit_offset": True}
FIRST_FILES = {"gelu": "gelu_pytorch_tanh"}
EMBEDDING_SCALE = Computed("embedding_scale", lambda fields: fields["d_model"] ** 0.5)
QUERY_SCALE = Changed(
    "query_pre_attn_scalar", "attention_scale", 256,
    to_ours=lambda value, fields: value**-0.5, to_theirs=lambda config: whole(config.score_scale**-2),
)  # fmt: skip
SANDWICH = {
    "attention_output_norm": "post_attention_layernorm",
    "mlp_norm": "pre_feedforward_layernorm",
    "mlp_output_norm": "post_feedforward_layernorm",
}

GEMMA = Family(
    model_type="gemma",
    class_name="GemmaForCausalLM",
    presets=("gemma",),
    fixed=FIXED,
    keys=(
        *sizes(256_000, 3_072, 24_576, 28, 16, 8_192),
        *heads(16, 256),
        Activation("hidden_act", "gelu_pytorch_tanh", gated=True, meaning=FIRST_FILES),
        Plain("rms_norm_eps", "norm_eps", 1e-6),
        Rope(),
        *ATTENTION_BIAS,
        EMBEDDING_SCALE,
        Plain("tie_word_embeddings", "tie_embeddings", True),
    ),
    only={"use_bidirectional_attention": None},
    harmless=("hidden_activation",),
    names=NAMES,
)

GEMMA2 = Family(
    model_type="gemma2",
    class_name="Gemma2ForCausalLM",
    presets=("gemma2",),
    fixed={**FIXED, "norm_placement": "sandwich"},
    keys=(
        *sizes(256_000, 2_304, 9_216, 26, 8, 8_192),
        *heads(4, 256),
        Activation("hidden_activation", "gelu_pytorch_tanh", gated=True),
        Plain("rms_norm_eps", "norm_eps", 1e-6),
        LayerTypes(one_full_in(2), 4_096),
        Rope(),
        *ATTENTION_BIAS,
        EMBEDDING_SCALE,
        QUERY_SCALE,
        Plain("attn_logit_softcapping", "attention_softcap", 50.0),
        Plain("final_logit_softcapping", "logit_softcap", 30.0),
        Plain("tie_word_embeddings", "tie_embeddings", True),
    ),
    only={"use_bidirectional_attention": None},
    harmless=("hidden_act", "cache_implementation"),
    names=NAMES.with_parts(SANDWICH),
)

GEMMA3 = Family(
    model_type="gemma3_text",
    class_name="Gemma3ForCausalLM",
    presets=("gemma3",),
    fixed={**FIXED, "norm_placement": "sandwich", "qk_norm": "head"},
    keys=(
        *sizes(262_208, 2_304, 9_216, 26, 8, 131_072),
        *heads(4, 256),
        Activation("hidden_activation", "gelu_pytorch_tanh", gated=True),
        Plain("rms_norm_eps", "norm_eps", 1e-6),
        LayerTypes(one_full_in(6), 4_096),
        RopeByLayer(1_000_000.0, 10_000.0),
        *ATTENTION_BIAS,
        EMBEDDING_SCALE,
        QUERY_SCALE,
        Plain("final_logit_softcapping", "logit_softcap"),
        Plain("tie_word_embeddings", "tie_embeddings", True),
    ),
    only={"use_bidirectional_attention": False},
    harmless=("attn_logit_softcapping", "cache_implementation"),
    names=NAMES.with_parts(SANDWICH | QK_NORM),
)
