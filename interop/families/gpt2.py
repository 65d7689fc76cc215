"""GPT-2: learned positions, LayerNorm, GELU in its tanh form, biases everywhere, the embedding used again as the head.

Its linear layers are Conv1D, which stores [in out]. The files of OpenAI on the hub have no prefix and carry the causal
mask of every block as attn.bias (and attn.masked_bias), which is nothing learned.
"""

from interop.family import Family
from interop.keys import Activation, Computed, Plain
from interop.tensor_names import Names, transposed

NAMES = Names(
    prefix="transformer.",
    model={"token_embedding": "wte", "positional_embedding": "wpe", "final_norm": "ln_f"},
    block="h.{n}.",
    parts={
        "attention_norm": "ln_1",
        "attention.qkv_proj": transposed("attn.c_attn"),
        "attention.out_proj": transposed("attn.c_proj"),
        "mlp_norm": "ln_2",
        "mlp.up_proj": transposed("mlp.c_fc"),
        "mlp.down_proj": transposed("mlp.c_proj"),
    },
    ignored=r"(transformer\.)?h\.\d+\.attn\.(masked_)?bias",
)

GPT2 = Family(
    model_type="gpt2",
    class_name="GPT2LMHeadModel",
    presets=("gpt2",),
    fixed={"position": "learned", "norm": "layernorm"},
    keys=(
        Plain("vocab_size", "d_vocab", 50_257),
        Plain("n_embd", "d_model", 768),
        Plain("n_layer", "n_layers", 12),
        Plain("n_head", "n_heads", 12),
        Plain("n_positions", "n_ctx", 1_024),
        Computed("d_mlp", lambda fields: 4 * fields["d_model"], theirs="n_inner"),
        Activation("activation_function", "gelu_new", gated=False),
        Plain("layer_norm_epsilon", "norm_eps", 1e-5),
        Plain("tie_word_embeddings", "tie_embeddings", True),
    ),
    only={"scale_attn_weights": True, "scale_attn_by_inverse_layer_idx": False, "add_cross_attention": False},
    harmless=("reorder_and_upcast_attn",),
    names=NAMES,
)
