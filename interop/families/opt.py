"""OPT: GPT-2's shape with ReLU. Its table of positions has two rows in front that no text without padding ever reads.

The 350M model has norms behind each part and a narrower embedding, which this project does not have.
"""

from interop.family import Family
from interop.keys import Activation, Plain, Repeated
from interop.tensor_names import Names, joined, without_first_rows

OPT = Family(
    model_type="opt",
    class_name="OPTForCausalLM",
    presets=("opt",),
    fixed={"position": "learned", "norm": "layernorm", "norm_eps": 1e-5},
    keys=(
        Plain("vocab_size", "d_vocab", 50_272),
        Plain("hidden_size", "d_model", 768),
        Repeated("word_embed_proj_dim", "d_model"),
        Plain("ffn_dim", "d_mlp", 3_072),
        Plain("num_hidden_layers", "n_layers", 12),
        Plain("num_attention_heads", "n_heads", 12),
        Plain("max_position_embeddings", "n_ctx", 2_048),
        Activation("activation_function", "relu", gated=False),
        Plain("enable_bias", "qkv_bias", True),
        Plain("enable_bias", "attention_out_bias", True),
        Plain("enable_bias", "mlp_bias", True),
        Plain("layer_norm_elementwise_affine", "norm_gain", True),
        Plain("layer_norm_elementwise_affine", "norm_bias", True),
        Plain("tie_word_embeddings", "tie_embeddings", True),
    ),
    only={"do_layer_norm_before": True, "_remove_final_layer_norm": False},
    names=Names(
        prefix="model.decoder.",
        model={
            "token_embedding": "embed_tokens",
            "positional_embedding": without_first_rows(2, "embed_positions"),
            "final_norm": "final_layer_norm",
        },
        block="layers.{n}.",
        parts={
            "attention_norm": "self_attn_layer_norm",
            "attention.qkv_proj": joined("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
            "attention.out_proj": "self_attn.out_proj",
            "mlp_norm": "final_layer_norm",
            "mlp.up_proj": "fc1",
            "mlp.down_proj": "fc2",
        },
    ),
)
