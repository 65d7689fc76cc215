"""The models of EleutherAI: GPT-Neo, GPT-J, and GPT-NeoX, of which Pythia is built.

GPT-NeoX and GPT-J let attention and MLP read the same stream side by side, GPT-NeoX each through its own norm, GPT-J
both through one. Both turn a part of each head only, GPT-J in neighbouring pairs. GPT-Neo has learned positions, does
not scale its scores, and looks through a window in every second layer; its linear layers are no Conv1D.
"""

from interop.family import Family
from interop.keys import Activation, Changed, Computed, Plain
from interop.layer_keys import GlobalLocal
from interop.position_keys import Rope
from interop.tensor_names import Names, by_head, joined

GPT_NEOX = Family(
    model_type="gpt_neox",
    class_name="GPTNeoXForCausalLM",
    presets=("pythia",),
    fixed={"position": "rope", "norm": "layernorm", "mlp_bias": True},
    keys=(
        Plain("vocab_size", "d_vocab", 50_432),
        Plain("hidden_size", "d_model", 6_144),
        Plain("intermediate_size", "d_mlp", 24_576),
        Plain("num_hidden_layers", "n_layers", 44),
        Plain("num_attention_heads", "n_heads", 64),
        Plain("max_position_embeddings", "n_ctx", 2_048),
        Activation("hidden_act", "gelu", gated=False),
        Plain("layer_norm_eps", "norm_eps", 1e-5),
        Rope(share=0.25, share_key="rotary_pct"),
        Plain("attention_bias", "qkv_bias", True),
        Plain("attention_bias", "attention_out_bias", True),
        Changed(
            "use_parallel_residual", "parallel_residual", True,
            to_ours=lambda side_by_side, fields: "two_norms" if side_by_side else "none",
            to_theirs=lambda config: config.parallel_residual == "two_norms",
        ),
        Plain("tie_word_embeddings", "tie_embeddings", False),
    ),
    harmless=("classifier_dropout",),
    names=Names(
        prefix="gpt_neox.",
        model={"token_embedding": "embed_in", "final_norm": "final_layer_norm"},
        block="layers.{n}.",
        parts={
            "attention_norm": "input_layernorm",
            "attention.qkv_proj": by_head("attention.query_key_value"),
            "attention.out_proj": "attention.dense",
            "mlp_norm": "post_attention_layernorm",
            "mlp.up_proj": "mlp.dense_h_to_4h",
            "mlp.down_proj": "mlp.dense_4h_to_h",
        },
        head={"unembedding": "embed_out"},
        ignored=r"gpt_neox\.layers\.\d+\.attention\.(rotary_emb\.inv_freq|bias|masked_bias)",
    ),
)  # fmt: skip

GPTJ = Family(
    model_type="gptj",
    class_name="GPTJForCausalLM",
    presets=("gptj",),
    fixed={"position": "rope", "norm": "layernorm", "rope_style": "interleaved", "parallel_residual": "one_norm",
           "qkv_bias": False, "attention_out_bias": False, "mlp_bias": True, "unembedding_bias": True},
    keys=(
        Plain("vocab_size", "d_vocab", 50_400),
        Plain("n_embd", "d_model", 4_096),
        Plain("n_layer", "n_layers", 28),
        Plain("n_head", "n_heads", 16),
        Plain("n_positions", "n_ctx", 2_048),
        Computed("d_mlp", lambda fields: 4 * fields["d_model"], theirs="n_inner"),
        Changed(
            "rotary_dim", "rotary_dim", 64,
            to_ours=lambda value, fields: value, to_theirs=lambda config: config.rotary_dim or config.head_dim,
        ),
        Activation("activation_function", "gelu_new", gated=False),
        Plain("layer_norm_epsilon", "norm_eps", 1e-5),
        Plain("tie_word_embeddings", "tie_embeddings", False),
    ),
    names=Names(
        prefix="transformer.",
        model={"token_embedding": "wte", "final_norm": "ln_f"},
        block="h.{n}.",
        parts={
            "attention_norm": "ln_1",
            "attention.qkv_proj": joined("attn.q_proj", "attn.k_proj", "attn.v_proj"),
            "attention.out_proj": "attn.out_proj",
            "mlp.up_proj": "mlp.fc_in",
            "mlp.down_proj": "mlp.fc_out",
        },
        ignored=r"transformer\.h\.\d+\.attn\.(masked_)?bias",
    ),
)  # fmt: skip

GPT_NEO = Family(
    model_type="gpt_neo",
    class_name="GPTNeoForCausalLM",
    presets=("gpt_neo",),
    fixed={"position": "learned", "norm": "layernorm", "qkv_bias": False, "attention_scale": 1.0},
    keys=(
        Plain("vocab_size", "d_vocab", 50_257),
        Plain("hidden_size", "d_model", 2_048),
        Plain("num_layers", "n_layers", 24),
        Plain("num_heads", "n_heads", 16),
        Plain("max_position_embeddings", "n_ctx", 2_048),
        Computed("d_mlp", lambda fields: 4 * fields["d_model"], theirs="intermediate_size"),
        GlobalLocal(),
        Activation("activation_function", "gelu_new", gated=False),
        Plain("layer_norm_epsilon", "norm_eps", 1e-5),
        Plain("tie_word_embeddings", "tie_embeddings", True),
    ),
    harmless=("resid_dropout", "embed_dropout", "classifier_dropout"),
    names=Names(
        prefix="transformer.",
        model={"token_embedding": "wte", "positional_embedding": "wpe", "final_norm": "ln_f"},
        block="h.{n}.",
        parts={
            "attention_norm": "ln_1",
            "attention.qkv_proj": joined("attn.attention.q_proj", "attn.attention.k_proj", "attn.attention.v_proj"),
            "attention.out_proj": "attn.attention.out_proj",
            "mlp_norm": "ln_2",
            "mlp.up_proj": "mlp.c_fc",
            "mlp.down_proj": "mlp.c_proj",
        },
        ignored=r"transformer\.h\.\d+\.attn\.attention\.(masked_)?bias",
    ),
)
