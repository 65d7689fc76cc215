"""The models that are compared: sizes that nothing divides by accident, an epsilon that can be seen, every switch."""

from typing import Any

# 3 heads of 8; or 6 heads that share 2 kv heads (ratio 3) and, where a family can, are wider than d_model / n_heads.
GPT2 = {"vocab_size": 67, "n_embd": 24, "n_layer": 3, "n_head": 3, "n_positions": 24, "layer_norm_epsilon": 3e-3}
SIZES = {"vocab_size": 67, "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 3,
         "num_attention_heads": 6, "num_key_value_heads": 2, "max_position_embeddings": 24}  # fmt: skip
RMS = {**SIZES, "rms_norm_eps": 3e-3}
WIDE = {**RMS, "head_dim": 6}
THETA = {"rope_type": "default", "rope_theta": 777.0}
MOE = {"num_experts_per_tok": 2, "moe_intermediate_size": 12}
NEOX = {"vocab_size": 67, "hidden_size": 24, "intermediate_size": 50, "num_hidden_layers": 3,
        "num_attention_heads": 3, "max_position_embeddings": 24, "layer_norm_eps": 3e-3}  # fmt: skip
MPT = {"vocab_size": 67, "d_model": 24, "n_layers": 3, "n_heads": 6, "max_seq_len": 24, "layer_norm_epsilon": 3e-3}
BLOOM = {"vocab_size": 67, "hidden_size": 24, "n_layer": 3, "n_head": 6, "layer_norm_epsilon": 3e-3}
LATENT = {**RMS, "num_key_value_heads": 6, "kv_lora_rank": 10, "qk_nope_head_dim": 6, "qk_rope_head_dim": 4,
          "v_head_dim": 5, "n_routed_experts": 5, "num_experts_per_tok": 2, "moe_intermediate_size": 12}  # fmt: skip
FALCON = {"vocab_size": 67, "hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 6,
          "max_position_embeddings": 24, "layer_norm_epsilon": 3e-3}  # fmt: skip
Case = tuple[str, dict[str, Any]]

CASES: dict[str, Case] = {
    "gpt2": ("gpt2", GPT2),
    "gpt2-exact-gelu-untied": ("gpt2", {**GPT2, "n_inner": 50, "activation_function": "gelu",
                                        "tie_word_embeddings": False}),
    "llama": ("llama", {**RMS, "num_attention_heads": 3, "num_key_value_heads": 3}),
    "llama-gqa-biases": ("llama", {**WIDE, "attention_bias": True, "mlp_bias": True, "rope_parameters": THETA}),
    "llama-mqa-tied": ("llama", {**WIDE, "num_key_value_heads": 1, "tie_word_embeddings": True}),
    "llama-geglu": ("llama", {**WIDE, "hidden_act": "gelu_pytorch_tanh"}),
    "mistral": ("mistral", {**WIDE, "sliding_window": None}),
    "qwen2-tied": ("qwen2", {**RMS, "tie_word_embeddings": True, "rope_parameters": THETA}),
    "olmo": ("olmo", {**SIZES, "tie_word_embeddings": True}),
    "gemma": ("gemma", {**WIDE, "num_key_value_heads": 1}),
    "gpt_neox-sequential": ("gpt_neox", {**NEOX, "use_parallel_residual": False, "rotary_pct": 1.0}),
    "gpt_neox-whole-head": ("gpt_neox", {**NEOX, "rotary_pct": 1.0}),
    "phi3": ("phi3", RMS),
    "starcoder2": ("starcoder2", {**SIZES, "norm_epsilon": 3e-3}),
    "starcoder2-untied-plain": ("starcoder2", {**SIZES, "use_bias": False, "tie_word_embeddings": False}),
    "mpt": ("mpt", MPT),
    "bloom": ("bloom", BLOOM),
    "opt": ("opt", {"vocab_size": 67, "hidden_size": 24, "word_embed_proj_dim": 24, "ffn_dim": 40,
                    "num_hidden_layers": 3, "num_attention_heads": 3, "max_position_embeddings": 24}),
    "mixtral": ("mixtral", {**WIDE, "num_local_experts": 5}),
    "qwen2_moe": ("qwen2_moe", {**RMS, **MOE, "num_experts": 5, "shared_expert_intermediate_size": 24}),
    "qwen2_moe-some-dense": ("qwen2_moe", {**RMS, **MOE, "num_experts": 5, "shared_expert_intermediate_size": 12,
                                           "norm_topk_prob": True, "mlp_only_layers": [1]}),
    "llama-linear": ("llama", {**WIDE, "rope_parameters": {**THETA, "rope_type": "linear", "factor": 3.0}}),
    "llama3": ("llama", {**WIDE, "rope_parameters": {**THETA, "rope_type": "llama3", "factor": 8.0,
                         "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 12}}),
    "llama-yarn": ("llama", {**WIDE, "rope_parameters": {**THETA, "rope_type": "yarn", "factor": 4.0, "beta_fast": 4.0,
                             "beta_slow": 1.0, "original_max_position_embeddings": 6}}),
    "mistral-window": ("mistral", {**WIDE, "sliding_window": 5}),
    "qwen2-window": ("qwen2", {**RMS, "use_sliding_window": True, "sliding_window": 5, "max_window_layers": 1}),
    "qwen3": ("qwen3", {**WIDE, "rope_parameters": THETA}),
    "qwen3-biases-window": ("qwen3", {**WIDE, "attention_bias": True, "use_sliding_window": True, "sliding_window": 5,
                                      "max_window_layers": 2, "tie_word_embeddings": True}),
    "olmo-clip": ("olmo", {**SIZES, "clip_qkv": 0.8}),
    "olmo2": ("olmo2", {**RMS, "attention_bias": True}),
    "olmo3": ("olmo3", {**RMS, "num_hidden_layers": 4, "sliding_window": 5, "rope_parameters": {
        "sliding_attention": THETA, "full_attention": {**THETA, "rope_type": "yarn", "factor": 4.0,
                                                       "original_max_position_embeddings": 6}}}),
    "gemma2": ("gemma2", {**WIDE, "sliding_window": 5, "query_pre_attn_scalar": 11, "attn_logit_softcapping": 1.5,
                          "final_logit_softcapping": 2.0}),
    "gemma3": ("gemma3_text", {**WIDE, "num_hidden_layers": 4, "sliding_window": 5, "query_pre_attn_scalar": 11,
                               "layer_types": ["sliding_attention", "full_attention"] * 2, "rope_parameters": {
        "sliding_attention": THETA, "full_attention": {"rope_type": "linear", "factor": 3.0, "rope_theta": 5e3}}}),
    "gpt_neox": ("gpt_neox", {**NEOX, "rotary_pct": 0.5}),
    "gptj": ("gptj", {"vocab_size": 67, "n_embd": 24, "n_layer": 3, "n_head": 3, "n_positions": 24, "rotary_dim": 4,
                      "layer_norm_epsilon": 3e-3}),
    "gpt_neo": ("gpt_neo", {"vocab_size": 67, "hidden_size": 24, "num_layers": 3, "num_heads": 3, "window_size": 5,
                            "attention_types": [[["global", "local"], 1], [["local"], 1]], "layer_norm_epsilon": 3e-3,
                            "max_position_embeddings": 24}),
    "phi": ("phi", {**SIZES, "layer_norm_eps": 3e-3, "partial_rotary_factor": 0.5}),
    "phi3-window": ("phi3", {**RMS, "sliding_window": 5}),
    "starcoder2-window": ("starcoder2", {**SIZES, "sliding_window": 5}),
    "stablelm": ("stablelm", {**SIZES, "layer_norm_eps": 3e-3, "partial_rotary_factor": 0.5, "use_qkv_bias": True}),
    "granite": ("granite", {**RMS, "embedding_multiplier": 3.0, "residual_multiplier": 0.4, "logits_scaling": 2.0,
                            "attention_multiplier": 0.3, "attention_bias": True, "mlp_bias": True}),
    "smollm3": ("smollm3", {**RMS, "num_hidden_layers": 4, "no_rope_layers": [1, 0, 1, 1]}),
    "nemotron": ("nemotron", {**SIZES, "head_dim": 6, "norm_eps": 3e-3, "partial_rotary_factor": 0.34}),
    "mpt-clip-scale": ("mpt", {**MPT, "attn_config": {"clip_qkv": 0.8, "softmax_scale": 0.5}}),
    "glm": ("glm", {**WIDE, "head_dim": 8}),
    "glm4": ("glm4", {**WIDE, "head_dim": 8, "attention_bias": False}),
    "cohere": ("cohere", {**SIZES, "layer_norm_eps": 3e-3, "logit_scale": 2.5}),
    "cohere-qk-norm": ("cohere", {**SIZES, "layer_norm_eps": 3e-3, "use_qk_norm": True, "attention_bias": True,
                                  "logit_scale": 2.5}),
    "cohere2": ("cohere2", {**SIZES, "num_hidden_layers": 4, "layer_norm_eps": 3e-3, "sliding_window": 5,
                            "logit_scale": 2.5}),
    "mixtral-window": ("mixtral", {**WIDE, "num_local_experts": 5, "sliding_window": 5}),
    "qwen3_moe": ("qwen3_moe", {**RMS, **MOE, "num_experts": 5, "decoder_sparse_step": 2}),
    "olmoe": ("olmoe", {**RMS, "num_experts": 5, "num_experts_per_tok": 2, "clip_qkv": 0.8}),
    "falcon": ("falcon", FALCON),
    "falcon-groups": ("falcon", {**FALCON, "new_decoder_architecture": True, "num_kv_heads": 2, "bias": True,
                                 "ffn_hidden_size": 50}),
    "falcon-groups-one-norm": ("falcon", {**FALCON, "new_decoder_architecture": True, "num_kv_heads": 2,
                                          "num_ln_in_parallel_attn": 1, "tie_word_embeddings": False}),
    "falcon-sequential": ("falcon", {**FALCON, "parallel_attn": False, "multi_query": False, "bias": True}),
    "arcee": ("arcee", {**WIDE, "mlp_bias": True}),
    "helium": ("helium", {**RMS, "head_dim": 4, "attention_bias": True, "mlp_bias": True}),
    "gpt_bigcode": ("gpt_bigcode", {**GPT2, "n_inner": 50}),
    "gpt_bigcode-heads": ("gpt_bigcode", {**GPT2, "multi_query": False}),
    "granitemoe": ("granitemoe", {**RMS, "num_local_experts": 5, "embedding_multiplier": 3.0, "logits_scaling": 0.5,
                                  "residual_multiplier": 0.4, "attention_multiplier": 0.3}),
    "glm4_moe": ("glm4_moe", {**WIDE, "head_dim": 8, "n_routed_experts": 6, "num_experts_per_tok": 2, "n_group": 3,
                              "moe_intermediate_size": 12, "topk_group": 2, "use_qk_norm": True,
                              "attention_bias": True, "routed_scaling_factor": 1.7}),
    "minimax_m2": ("minimax_m2", {**WIDE, "head_dim": 8, "num_local_experts": 5, "num_experts_per_tok": 2,
                                  "rotary_dim": 4}),
    "deepseek_v2": ("deepseek_v2", {**LATENT, "q_lora_rank": None, "first_k_dense_replace": 1, "n_shared_experts": 2,
                                    "mlp_bias": False, "routed_scaling_factor": 1.7}),
    "deepseek_v2-groups-yarn": ("deepseek_v2", {
        **LATENT, "q_lora_rank": 14, "n_routed_experts": 6, "topk_method": "group_limited_greedy", "n_group": 3,
        "topk_group": 2, "attention_bias": True,
        "rope_parameters": {**THETA, "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 6,
                            "mscale": 0.7, "mscale_all_dim": 0.9}}),
    "deepseek_v3": ("deepseek_v3", {**LATENT, "q_lora_rank": 14, "n_routed_experts": 6, "n_group": 3, "topk_group": 2,
                                    "first_k_dense_replace": 1, "n_shared_experts": 1}),
    "deepseek_v3-halves": ("deepseek_v3", {**LATENT, "q_lora_rank": 14, "n_routed_experts": 5, "n_group": 1,
                                           "topk_group": 1, "rope_interleave": False, "norm_topk_prob": False,
                                           "first_k_dense_replace": 0, "n_shared_experts": 1}),
    "gpt_oss": ("gpt_oss", {**WIDE, "num_local_experts": 5, "num_experts_per_tok": 2, "sliding_window": 5}),
}  # fmt: skip
# Their switches are in another case of the same family, too: of these the default run compares logits only.
PLAINER = frozenset(
    """
    gpt2-exact-gelu-untied llama llama-mqa-tied llama-geglu llama-linear llama-yarn mistral qwen2-tied qwen3 olmo
    gpt_neox-sequential gpt_neox-whole-head phi3 starcoder2 starcoder2-untied-plain mpt cohere mixtral qwen2_moe
    deepseek_v2 deepseek_v3-halves falcon-groups-one-norm gpt_bigcode-heads
    """.split()  # noqa: SIM905
)
