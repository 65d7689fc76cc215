"""The released models with ALiBi: BLOOM and MPT.

BLOOM has a norm on the embedding and biases everywhere, and packs queries, keys and values head by head; its files on
the hub have no prefix. MPT has no bias at all, not in its norms either. Neither says the width of its MLP: it is four
times d_model. BLOOM does not say how far it reads; its files have the length it was trained with, as seq_length.
"""

from interop.families.llama import NO_BIAS
from interop.family import Family
from interop.keys import Computed, Inside, Plain
from interop.tensor_names import Names, by_head

FOUR_TIMES = Computed("d_mlp", lambda fields: 4 * fields["d_model"])

BLOOM = Family(
    model_type="bloom",
    class_name="BloomForCausalLM",
    presets=("bloom",),
    fixed={"position": "alibi", "norm": "layernorm", "embedding_norm": True},
    keys=(
        Plain("vocab_size", "d_vocab", 250_880),
        Plain("hidden_size", "d_model", 64, also="n_embed"),
        Plain("n_layer", "n_layers", 2, also="num_hidden_layers"),
        Plain("n_head", "n_heads", 8, also="num_attention_heads"),
        Plain("seq_length", "n_ctx", 2_048),
        FOUR_TIMES,
        Plain("layer_norm_epsilon", "norm_eps", 1e-5),
        Plain("tie_word_embeddings", "tie_embeddings", True),
    ),
    only={"apply_residual_connection_post_layernorm": False},
    harmless=("slow_but_exact", "attention_softmax_in_fp32", "bias_dropout_fusion", "masked_softmax_fusion",
              "offset_alibi", "skip_bias_add", "skip_bias_add_qkv", "unk_token_id"),
    names=Names(
        prefix="transformer.",
        model={
            "token_embedding": "word_embeddings",
            "embedding_norm": "word_embeddings_layernorm",
            "final_norm": "ln_f",
        },
        block="h.{n}.",
        parts={
            "attention_norm": "input_layernorm",
            "attention.qkv_proj": by_head("self_attention.query_key_value"),
            "attention.out_proj": "self_attention.dense",
            "mlp_norm": "post_attention_layernorm",
            "mlp.up_proj": "mlp.dense_h_to_4h",
            "mlp.down_proj": "mlp.dense_4h_to_h",
        },
    ),
)  # fmt: skip

MPT = Family(
    model_type="mpt",
    class_name="MptForCausalLM",
    presets=("mpt",),
    fixed={"position": "alibi", "norm": "layernorm", "norm_bias": False, **NO_BIAS, "gelu_form": "exact"},
    keys=(
        Plain("vocab_size", "d_vocab", 50_368),
        Plain("d_model", "d_model", 2_048),
        Plain("n_layers", "n_layers", 24),
        Plain("n_heads", "n_heads", 16),
        Plain("max_seq_len", "n_ctx", 2_048),
        FOUR_TIMES,
        Plain("layer_norm_epsilon", "norm_eps", 1e-5),
        Inside(
            "attn_config",
            (Plain("clip_qkv", "clip_qkv"), Plain("softmax_scale", "attention_scale")),
            only={"alibi": True, "alibi_bias_max": 8, "prefix_lm": False, "qk_ln": False},
        ),
        Plain("tie_word_embeddings", "tie_embeddings", True),
    ),
    only={"expansion_ratio": 4, "no_bias": True, "logit_scale": None},
    harmless=("learned_pos_emb", "emb_pdrop", "init_device", "init_config", "embedding_fraction", "norm_type",
              "verbose", "tokenizer_name"),
    names=Names(
        prefix="transformer.",
        model={"token_embedding": "wte", "final_norm": "norm_f"},
        block="blocks.{n}.",
        parts={
            "attention_norm": "norm_1",
            "attention.qkv_proj": "attn.Wqkv",
            "attention.out_proj": "attn.out_proj",
            "mlp_norm": "norm_2",
            "mlp.up_proj": "ffn.up_proj",
            "mlp.down_proj": "ffn.down_proj",
        },
    ),
)  # fmt: skip
