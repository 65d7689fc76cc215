"""DeepSeek V2 and V3: keys and values unpacked from a latent (MLA), and experts beside some that all tokens share.

V2 scores experts by a softmax and does not make the weights of the chosen ones sum to 1 (its files say that they may,
its code does not look). V3 scores them by sigmoids, lets an offset decide the choice but not the weights, and chooses
within groups. V3's released files hold one more layer, which predicts the token after the next and is not read, and
weights in eight bits, which cannot be: unpack them first.
"""

from config.model_config import ModelConfig
from interop.expert_keys import DenseFirst
from interop.families.llama import ATTENTION_BIAS, NAMES, NO_BIAS, ROPE_AND_RMSNORM
from interop.families.qwen import EXPERTS
from interop.family import Family
from interop.keys import Activation, Changed, Key, Plain, Repeated
from interop.latent_keys import ExpertGroups, LatentRope
from interop.tensor_names import Names

SHARED_EXPERTS = {
    "mlp.router.selection_bias": "mlp.gate.e_score_correction_bias",
    "mlp.shared_expert.gate_proj": "mlp.shared_experts.gate_proj",
    "mlp.shared_expert.up_proj": "mlp.shared_experts.up_proj",
    "mlp.shared_expert.down_proj": "mlp.shared_experts.down_proj",
}
LATENT = NAMES.with_parts(
    {
        "attention.query_proj": "self_attn.q_proj",
        "attention.latent_proj": "self_attn.kv_a_proj_with_mqa",
        "attention.latent_norm": "self_attn.kv_a_layernorm",
        "attention.unpack_proj": "self_attn.kv_b_proj",
        **EXPERTS,
        **SHARED_EXPERTS,
    }
)
LATENT_QUERIES = LATENT.with_parts(
    {
        "attention.query_latent_proj": "self_attn.q_a_proj",
        "attention.query_norm": "self_attn.q_a_layernorm",
        "attention.query_proj": "self_attn.q_b_proj",
    }
)


def names(config: ModelConfig) -> Names:
    """Queries are projected at once (V2-Lite), or unpacked from a latent of their own."""
    return LATENT if config.q_rank is None else LATENT_QUERIES


def v3_names(config: ModelConfig) -> Names:
    """The released V3 has a 62nd layer, for the token after the next."""
    return names(config).ignoring(r"model\.layers\.61\..*")


FIXED = {**ROPE_AND_RMSNORM, **NO_BIAS, "attention": "mla"}
OTHER_WORDS = ("head_dim", "qk_head_dim", "scoring_func", "aux_loss_alpha", "seq_aux", "ep_size",
               "num_nextn_predict_layers", "num_mtp_layers", "pretraining_tp")  # fmt: skip


def keys(d_vocab: int, d_model: int, d_mlp: int, n_layers: int, n_heads: int, n_ctx: int) -> tuple[Key, ...]:
    """Sizes and widths, as far as both versions say them in the same way."""
    return (
        Plain("vocab_size", "d_vocab", d_vocab),
        Plain("hidden_size", "d_model", d_model),
        Plain("intermediate_size", "d_mlp", d_mlp),
        Plain("num_hidden_layers", "n_layers", n_layers),
        Plain("num_attention_heads", "n_heads", n_heads),
        Repeated("num_key_value_heads", "n_heads"),
        Plain("max_position_embeddings", "n_ctx", n_ctx),
        Plain("qk_nope_head_dim", "d_head", 128, written="head_dim"),
        Plain("qk_rope_head_dim", "d_head_rope", 64, written="rope_head_dim"),
        Plain("v_head_dim", "d_head_value", 128, written="value_head_dim"),
        Plain("kv_lora_rank", "kv_rank", 512, written="latent_rank"),
        Plain("q_lora_rank", "q_rank", 1_536),
        Activation("hidden_act", "silu", gated=True),
        Plain("rms_norm_eps", "norm_eps", 1e-6),
        LatentRope(),
        *ATTENTION_BIAS,
        Plain("tie_word_embeddings", "tie_embeddings", False),
    )


DEEPSEEK_V2 = Family(
    model_type="deepseek_v2",
    class_name="DeepseekV2ForCausalLM",
    presets=("deepseek_v2",),
    fixed={**FIXED, "rope_style": "interleaved", "router_renormalize": False},
    keys=(
        *keys(102_400, 4_096, 11_008, 32, 32, 2_048),
        Plain("mlp_bias", "mlp_bias", False),
        Plain("n_routed_experts", "n_experts", 64, also="num_experts"),
        Plain("num_experts_per_tok", "experts_per_token"),
        Plain("moe_intermediate_size", "d_expert", 1_407, written="expert_width"),
        Plain("n_shared_experts", "n_shared_experts", 2),
        Plain("routed_scaling_factor", "router_scale", 1.0),
        ExpertGroups(None, None, method=True),
        DenseFirst(0),
    ),
    only={"moe_layer_freq": 1},
    harmless=("norm_topk_prob", *OTHER_WORDS),
    names=names,
)

DEEPSEEK_V3 = Family(
    model_type="deepseek_v3",
    class_name="DeepseekV3ForCausalLM",
    presets=("deepseek_v3",),
    fixed={**FIXED, "router": "sigmoid", "router_selection_bias": True},
    keys=(
        *keys(129_280, 7_168, 18_432, 61, 128, 4_096),
        Changed(
            "rope_interleave", "rope_style", True,
            to_ours=lambda neighbours, fields: "interleaved" if neighbours else "half",
            to_theirs=lambda config: config.rope_style == "interleaved",
        ),
        Plain("n_routed_experts", "n_experts", 256, also="num_experts"),
        Plain("num_experts_per_tok", "experts_per_token", 8),
        Plain("moe_intermediate_size", "d_expert", 2_048, written="expert_width"),
        Plain("n_shared_experts", "n_shared_experts", 1),
        Plain("routed_scaling_factor", "router_scale", 2.5),
        Plain("norm_topk_prob", "router_renormalize", True),
        ExpertGroups(8, 4),
        DenseFirst(3),
    ),
    only={"moe_layer_freq": 1},
    harmless=("topk_method", *OTHER_WORDS),
    names=v3_names,
)  # fmt: skip
