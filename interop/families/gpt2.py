"""GPT-2: learned positions, LayerNorm, GELU in its tanh form, biases everywhere, the embedding used again as the head.
StarCoder 1 (gpt_bigcode) is GPT-2 with keys and values that all heads share, and ordinary linear layers.

Its linear layers are Conv1D, which stores [in out]. The files of OpenAI on the hub have no prefix and carry the causal
mask of every block as attn.bias (and attn.masked_bias), which is nothing learned.
"""

from interop.family import Family
from interop.keys import Activation, Changed, Computed, Plain
from interop.tensor_names import Names, by_head, transposed

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

SIZES = (
    Plain("vocab_size", "d_vocab", 50_257),
    Plain("n_embd", "d_model", 768),
    Plain("n_layer", "n_layers", 12),
    Plain("n_head", "n_heads", 12),
    Plain("n_positions", "n_ctx", 1_024),
    Computed("d_mlp", lambda fields: 4 * fields["d_model"], theirs="n_inner"),
    Plain("layer_norm_epsilon", "norm_eps", 1e-5),
    Plain("tie_word_embeddings", "tie_embeddings", True),
)
FIXED = {"position": "learned", "norm": "layernorm"}

GPT2 = Family(
    model_type="gpt2",
    class_name="GPT2LMHeadModel",
    presets=("gpt2",),
    fixed=FIXED,
    keys=(*SIZES, Activation("activation_function", "gelu_new", gated=False)),
    only={"scale_attn_weights": True, "scale_attn_by_inverse_layer_idx": False, "add_cross_attention": False},
    harmless=("reorder_and_upcast_attn",),
    names=NAMES,
)

SHARED = NAMES.with_parts(
    {
        "attention.qkv_proj": "attn.c_attn",
        "attention.out_proj": "attn.c_proj",
        "mlp.up_proj": "mlp.c_fc",
        "mlp.down_proj": "mlp.c_proj",
    }
)
OF_EACH_HEAD = SHARED.with_parts({"attention.qkv_proj": by_head("attn.c_attn")})

GPT_BIGCODE = Family(
    model_type="gpt_bigcode",
    class_name="GPTBigCodeForCausalLM",
    presets=("starcoder",),
    fixed=FIXED,
    keys=(
        *SIZES,
        Changed(
            "multi_query", "n_kv_heads", True,
            to_ours=lambda shared, fields: 1 if shared else fields["n_heads"],
            to_theirs=lambda config: config.kv_heads == 1,
        ),
        Activation("activation_function", "gelu_pytorch_tanh", gated=False),
    ),
    only={"scale_attn_weights": True, "add_cross_attention": False},
    harmless=("attention_softmax_in_fp32", "scale_attention_softmax_in_fp32", "num_key_value_heads", "inference_runner",
              "validate_runner_input", "pre_allocate_kv_cache", "max_sequence_length", "max_batch_size",
              "pad_key_length"),
    names=lambda config: SHARED if config.kv_heads == 1 else OF_EACH_HEAD,
)  # fmt: skip
