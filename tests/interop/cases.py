"""The models that are compared: sizes that nothing divides by accident, an epsilon that can be seen, every switch."""

from typing import Any

# 3 heads of 8; 6 heads that share 2 kv heads (ratio 3) and are wider than d_model / n_heads.
GPT2 = {"vocab_size": 67, "n_embd": 24, "n_layer": 3, "n_head": 3, "n_positions": 24, "layer_norm_epsilon": 3e-3}
LLAMA = {"vocab_size": 67, "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 3,
         "num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 6, "max_position_embeddings": 24,
         "rms_norm_eps": 3e-3}  # fmt: skip

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt2": ("gpt2", GPT2),
    "gpt2-exact-gelu-untied": ("gpt2", {**GPT2, "n_inner": 50, "activation_function": "gelu",
                                        "tie_word_embeddings": False}),
    "llama": ("llama", {**LLAMA, "num_attention_heads": 3, "num_key_value_heads": 3, "head_dim": 8}),
    "llama-gqa-biases": ("llama", {**LLAMA, "attention_bias": True, "mlp_bias": True,
                                   "rope_parameters": {"rope_type": "default", "rope_theta": 777.0}}),
    "llama-mqa-tied": ("llama", {**LLAMA, "num_key_value_heads": 1, "tie_word_embeddings": True}),
}  # fmt: skip
