"""Phi 1.5 and 2: attention and MLP side by side behind one norm, biases everywhere, a bias on the head, a part of each
head turned. Phi 3 and 4: LLaMA with its matrices packed, all of queries, keys and values in one, gate and up in one.

Of Phi 3 the models with a context of 4,096 are read; the longer ones stretch it in a way (LongRoPE) that is not here.
"""

from interop.families.llama import NAMES, NO_BIAS, ROPE_AND_RMSNORM, heads, sizes
from interop.family import Family
from interop.keys import Activation, Plain
from interop.layer_keys import WindowEverywhere
from interop.position_keys import Rope
from interop.tensor_names import Names, joined

PHI = Family(
    model_type="phi",
    class_name="PhiForCausalLM",
    presets=("phi",),
    fixed={"position": "rope", "norm": "layernorm", "parallel_residual": "one_norm", "unembedding_bias": True},
    keys=(
        *sizes(51_200, 2_048, 8_192, 24, 32, 2_048),
        *heads(free_width=False),
        Activation("hidden_act", "gelu_new", gated=False),
        Plain("layer_norm_eps", "norm_eps", 1e-5),
        Rope(share=0.5),
        Plain("tie_word_embeddings", "tie_embeddings", False),
    ),
    only={"qk_layernorm": False},
    names=Names(
        prefix="model.",
        model={"token_embedding": "embed_tokens", "final_norm": "final_layernorm"},
        block="layers.{n}.",
        parts={
            "attention_norm": "input_layernorm",
            "attention.qkv_proj": joined("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
            "attention.out_proj": "self_attn.dense",
            "mlp.up_proj": "mlp.fc1",
            "mlp.down_proj": "mlp.fc2",
        },
    ),
)

PHI3 = Family(
    model_type="phi3",
    class_name="Phi3ForCausalLM",
    presets=("phi3",),
    fixed={**ROPE_AND_RMSNORM, **NO_BIAS},
    keys=(
        *sizes(32_064, 3_072, 8_192, 32, 32, 4_096),
        *heads(free_width=False),
        Activation("hidden_act", "silu", gated=True),
        Plain("rms_norm_eps", "norm_eps", 1e-5),
        Rope(share=1.0),
        WindowEverywhere(),
        Plain("tie_word_embeddings", "tie_embeddings", False),
    ),
    names=NAMES.with_parts(
        {
            "attention.qkv_proj": "self_attn.qkv_proj",
            ("mlp.gate_proj", "mlp.up_proj"): "mlp.gate_up_proj",
        },
        without=("mlp.gate_proj", "mlp.up_proj"),
    ),
)
