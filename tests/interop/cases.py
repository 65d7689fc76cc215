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
    "phi3": ("phi3", RMS),
    "starcoder2": ("starcoder2", {**SIZES, "norm_epsilon": 3e-3}),
    "starcoder2-untied-plain": ("starcoder2", {**SIZES, "use_bias": False, "tie_word_embeddings": False}),
    "mpt": ("mpt", {"vocab_size": 67, "d_model": 24, "n_layers": 3, "n_heads": 6, "max_seq_len": 24,
                    "layer_norm_epsilon": 3e-3}),
    "opt": ("opt", {"vocab_size": 67, "hidden_size": 24, "word_embed_proj_dim": 24, "ffn_dim": 40,
                    "num_hidden_layers": 3, "num_attention_heads": 3, "max_position_embeddings": 24}),
    "mixtral": ("mixtral", {**WIDE, "num_local_experts": 5, "rms_norm_eps": 3e-3}),
    "qwen2_moe": ("qwen2_moe", {**RMS, **MOE, "num_experts": 5, "shared_expert_intermediate_size": 24}),
    "qwen2_moe-some-dense": ("qwen2_moe", {**RMS, **MOE, "num_experts": 5, "shared_expert_intermediate_size": 12,
                                           "norm_topk_prob": True, "mlp_only_layers": [1]}),
}  # fmt: skip
