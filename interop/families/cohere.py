"""Command R (cohere) and Command R7B (cohere2): attention and MLP side by side behind one LayerNorm without offsets,
neighbouring pairs turned, logits scaled, one matrix for embedding and head. Command R+ has a norm for each head of its
queries and keys; cohere2 turns them only in the layers that look through a window.
"""

from interop.families.llama import ATTENTION_BIAS, NAMES, heads, sizes
from interop.family import Family
from interop.keys import Activation, Changed, Plain
from interop.layer_keys import LayerTypes, PositionsInWindows, one_full_in
from interop.position_keys import Rope
from interop.tensor_names import by_head_rows

FIXED = {"position": "rope", "rope_style": "interleaved", "norm": "layernorm", "norm_bias": False, "mlp_bias": False,
         "parallel_residual": "one_norm"}  # fmt: skip

COHERE = Family(
    model_type="cohere",
    class_name="CohereForCausalLM",
    presets=("cohere",),
    fixed=FIXED,
    keys=(
        *sizes(256_000, 8_192, 22_528, 40, 64, 8_192),
        *heads(free_width=False),
        Activation("hidden_act", "silu", gated=True),
        Plain("layer_norm_eps", "norm_eps", 1e-5),
        Rope(theta=500_000.0),
        *ATTENTION_BIAS,
        Changed(
            "use_qk_norm", "qk_norm", False,
            to_ours=lambda on, fields: "head_separate" if on else "none",
            to_theirs=lambda config: config.qk_norm == "head_separate",
        ),
        Plain("logit_scale", "logit_scale", 0.0625),
        Plain("tie_word_embeddings", "tie_embeddings", True),
    ),
    names=NAMES.with_parts(
        {
            "attention.query_norm": by_head_rows("self_attn.q_norm"),
            "attention.key_norm": by_head_rows("self_attn.k_norm"),
        }
    ),
)  # fmt: skip

COHERE2 = Family(
    model_type="cohere2",
    class_name="Cohere2ForCausalLM",
    presets=("cohere2",),
    fixed=FIXED,
    keys=(
        *sizes(256_000, 8_192, 22_528, 40, 64, 8_192),
        *heads(free_width=False),
        Activation("hidden_act", "silu", gated=True),
        Plain("layer_norm_eps", "norm_eps", 1e-5),
        Rope(),
        LayerTypes(one_full_in(4), 4_096),
        PositionsInWindows(),
        *ATTENTION_BIAS,
        Plain("logit_scale", "logit_scale", 0.0625),
        Plain("tie_word_embeddings", "tie_embeddings", True),
    ),
    harmless=("head_dim",),
    names=NAMES,
)
