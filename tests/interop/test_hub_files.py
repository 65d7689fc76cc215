"""config.json as it lies on the hub, in the spelling of its time, is the published size of its preset."""

import pytest

from config.errors import ConfigError
from interop.canonical import canonical, differences
from interop.registry import family_of

YARN_V2 = {"type": "yarn", "factor": 40, "original_max_position_embeddings": 4096, "mscale": 0.707,
           "mscale_all_dim": 0.707, "beta_fast": 32, "beta_slow": 1}  # fmt: skip
LLAMA_3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
           "original_max_position_embeddings": 8192}  # fmt: skip
YARN_OSS = {"rope_type": "yarn", "factor": 32.0, "beta_fast": 32.0, "beta_slow": 1.0, "truncate": False,
            "original_max_position_embeddings": 4096}  # fmt: skip


def sizes(d_model, n_layers, n_heads, n_kv_heads, d_mlp, n_ctx, d_vocab):
    return {"hidden_size": d_model, "num_hidden_layers": n_layers, "num_attention_heads": n_heads,
            "num_key_value_heads": n_kv_heads, "intermediate_size": d_mlp, "max_position_embeddings": n_ctx,
            "vocab_size": d_vocab}  # fmt: skip


FILES = {
    "gpt2-small": {"model_type": "gpt2", "activation_function": "gelu_new", "layer_norm_epsilon": 1e-05, "n_ctx": 1024,
                   "n_embd": 768, "n_head": 12, "n_layer": 12, "n_positions": 1024, "vocab_size": 50257,
                   "attn_pdrop": 0.1, "task_specific_params": {"text-generation": {"max_length": 50}}},
    "llama-2-7b": {"model_type": "llama", **sizes(4096, 32, 32, 32, 11008, 4096, 32000), "hidden_act": "silu",
                   "rms_norm_eps": 1e-05, "rope_scaling": None, "pretraining_tp": 1, "tie_word_embeddings": False},
    "llama-3.1-8b": {"model_type": "llama", **sizes(4096, 32, 32, 8, 14336, 131072, 128256), "rms_norm_eps": 1e-05,
                     "rope_theta": 500000.0, "rope_scaling": LLAMA_3, "attention_bias": False, "mlp_bias": False},
    "mistral-7b-v0.1": {"model_type": "mistral", **sizes(4096, 32, 32, 8, 14336, 32768, 32000), "rms_norm_eps": 1e-05,
                        "rope_theta": 10000.0, "sliding_window": 4096},
    "mixtral-8x7b": {"model_type": "mixtral", **sizes(4096, 32, 32, 8, 14336, 32768, 32000), "rms_norm_eps": 1e-05,
                     "rope_theta": 1000000.0, "sliding_window": None, "num_local_experts": 8, "num_experts_per_tok": 2},
    "qwen2.5-0.5b": {"model_type": "qwen2", **sizes(896, 24, 14, 2, 4864, 32768, 151936), "rms_norm_eps": 1e-06,
                     "rope_theta": 1000000.0, "use_sliding_window": False, "sliding_window": 32768,
                     "max_window_layers": 24, "tie_word_embeddings": True},
    "qwen3-0.6b": {"model_type": "qwen3", **sizes(1024, 28, 16, 8, 3072, 40960, 151936), "head_dim": 128,
                   "rms_norm_eps": 1e-06, "rope_theta": 1000000, "attention_bias": False, "use_sliding_window": False,
                   "sliding_window": None, "max_window_layers": 28, "tie_word_embeddings": True},
    "qwen3-30b-a3b": {"model_type": "qwen3_moe", **sizes(2048, 48, 32, 4, 6144, 40960, 151936), "head_dim": 128,
                      "rms_norm_eps": 1e-06, "rope_theta": 1000000.0, "num_experts": 128, "num_experts_per_tok": 8,
                      "moe_intermediate_size": 768, "norm_topk_prob": True, "decoder_sparse_step": 1,
                      "mlp_only_layers": []},
    "gemma-2b": {"model_type": "gemma", **sizes(2048, 18, 8, 1, 16384, 8192, 256000), "head_dim": 256,
                 "hidden_act": "gelu", "hidden_activation": None, "rms_norm_eps": 1e-06, "rope_theta": 10000.0},
    "gemma-2-2b": {"model_type": "gemma2", **sizes(2304, 26, 8, 4, 9216, 8192, 256000), "head_dim": 256,
                   "hidden_activation": "gelu_pytorch_tanh", "hidden_act": "gelu_pytorch_tanh", "sliding_window": 4096,
                   "query_pre_attn_scalar": 256, "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0},
    "gemma-3-1b": {"model_type": "gemma3_text", **sizes(1152, 26, 4, 1, 6912, 32768, 262144), "head_dim": 256,
                   "sliding_window": 512, "sliding_window_pattern": 6, "rope_theta": 1000000, "rope_scaling": None,
                   "rope_local_base_freq": 10000, "query_pre_attn_scalar": 256, "attn_logit_softcapping": None},
    "olmo-2-7b": {"model_type": "olmo2", **sizes(4096, 32, 32, 32, 11008, 4096, 100352), "rms_norm_eps": 1e-06,
                  "rope_theta": 500000},
    "pythia-1b": {"model_type": "gpt_neox", "hidden_size": 2048, "num_hidden_layers": 16, "num_attention_heads": 8,
                  "intermediate_size": 8192, "max_position_embeddings": 2048, "vocab_size": 50304, "rotary_pct": 0.25,
                  "rotary_emb_base": 10000, "hidden_act": "gelu", "use_parallel_residual": True},
    "phi-2": {"model_type": "phi", **sizes(2560, 32, 32, 32, 10240, 2048, 51200), "partial_rotary_factor": 0.4,
              "hidden_act": "gelu_new", "layer_norm_eps": 1e-05, "qk_layernorm": False, "rope_theta": 10000.0},
    "phi-3-mini-4k": {"model_type": "phi3", **sizes(3072, 32, 32, 32, 8192, 4096, 32064), "rms_norm_eps": 1e-05,
                      "original_max_position_embeddings": 4096, "rope_scaling": None, "sliding_window": 2047},
    "bloom-560m": {"model_type": "bloom", "n_embed": 1024, "n_layer": 24, "num_attention_heads": 16,
                   "vocab_size": 250880, "seq_length": 2048, "layer_norm_epsilon": 1e-05},
    "falcon-7b": {"model_type": "falcon", "hidden_size": 4544, "num_hidden_layers": 32, "num_attention_heads": 71,
                  "multi_query": True, "parallel_attn": True, "bias": False, "alibi": False, "vocab_size": 65024},
    "deepseek-v2-lite": {"model_type": "deepseek_v2", **sizes(2048, 27, 16, 16, 10944, 163840, 102400),
                         "kv_lora_rank": 512, "q_lora_rank": None, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64,
                         "v_head_dim": 128, "n_routed_experts": 64, "num_experts_per_tok": 6, "n_shared_experts": 2,
                         "moe_intermediate_size": 1408, "first_k_dense_replace": 1, "moe_layer_freq": 1, "n_group": 1,
                         "topk_group": 1, "topk_method": "greedy", "scoring_func": "softmax", "norm_topk_prob": False,
                         "routed_scaling_factor": 1.0, "rope_scaling": YARN_V2, "rope_theta": 10000},
    "gpt-oss-20b": {"model_type": "gpt_oss", **sizes(2880, 24, 64, 8, 2880, 131072, 201088), "head_dim": 64,
                    "sliding_window": 128, "layer_types": ["sliding_attention", "full_attention"] * 12,
                    "num_local_experts": 32, "num_experts_per_tok": 4, "experts_per_token": 4, "swiglu_limit": 7.0,
                    "rope_theta": 150000, "rope_scaling": YARN_OSS, "attention_bias": True, "rms_norm_eps": 1e-05},
    "command-r7b": {"model_type": "cohere2", **sizes(4096, 32, 32, 8, 14336, 8192, 256000), "sliding_window": 4096,
                    "sliding_window_pattern": 4, "rope_theta": 50000, "logit_scale": 0.25, "layer_norm_eps": 1e-05},
    "granite-3.0-1b-a400m": {"model_type": "granitemoe", **sizes(1024, 24, 16, 8, 512, 4096, 49155),
                             "num_local_experts": 32, "num_experts_per_tok": 8, "embedding_multiplier": 12.0,
                             "residual_multiplier": 0.22, "logits_scaling": 6.0, "attention_multiplier": 0.015625,
                             "rope_theta": 10000, "tie_word_embeddings": True},
    "glm-4.5-air": {"model_type": "glm4_moe", **sizes(4096, 46, 96, 8, 10944, 131072, 151552), "head_dim": 128,
                    "attention_bias": True, "partial_rotary_factor": 0.5, "n_routed_experts": 128,
                    "num_experts_per_tok": 8, "moe_intermediate_size": 1408, "rope_theta": 1000000},
    "minimax-m2": {"model_type": "minimax_m2", **sizes(3072, 62, 48, 8, 1536, 196608, 200064), "head_dim": 128,
                   "rotary_dim": 64, "num_local_experts": 256, "num_experts_per_tok": 8, "rope_theta": 5000000},
    "minitron-8b": {"model_type": "nemotron", **sizes(4096, 32, 48, 8, 16384, 4096, 256000), "head_dim": 128,
                    "partial_rotary_factor": 0.5, "hidden_act": "relu2"},
    "helium-1-preview-2b": {"model_type": "helium"},  # what its class takes
}  # fmt: skip


@pytest.mark.parametrize("size", FILES)
def test_a_file_of_the_hub_is_the_published_size_of_its_preset(size):
    family = family_of(FILES[size]["model_type"])
    config = family.read(FILES[size])
    assert family.name_of(config)[1] == size
    assert not family.unread_keys(FILES[size])
    assert not differences(canonical(family.read(family.write(config))), config)


@pytest.mark.parametrize(
    ("size", "changes", "sentence"),
    [
        ("phi-3-mini-4k", {"rope_scaling": {"type": "su", "long_factor": [1.0]}}, "rope_type 'su'"),
        ("gemma-3-1b", {"layer_types": ["full_attention"]}, "layer_types"),
        ("gemma-3-1b", {"layer_types": ["chunked_attention"] * 26}, "layer_types"),
        ("falcon-7b", {"alibi": True}, "alibi 'True'"),
        ("llama-3.1-8b", {"rope_scaling": [1]}, "rope_scaling"),
        ("llama-3.1-8b", {"rope_scaling": {"rope_type": "llama3", "factor": "8"}}, "rope_factor must be a number"),
        ("pythia-1b", {"rotary_pct": "a quarter"}, "rotary_pct 'a quarter'"),
        ("qwen3-30b-a3b", {"decoder_sparse_step": 0}, "decoder_sparse_step 0|decoder_sparse_step '0'"),
        ("deepseek-v2-lite", {"moe_layer_freq": 2}, "moe_layer_freq '2'"),
        ("bloom-560m", {"apply_residual_connection_post_layernorm": True}, "apply_residual_connection"),
    ],
)
def test_what_would_be_another_computation_is_refused_by_name(size, changes, sentence):
    with pytest.raises(ConfigError, match=sentence):
        family_of(FILES[size]["model_type"]).read(FILES[size] | changes)


def test_a_key_that_means_nothing_here_is_told():
    assert family_of("llama").unread_keys(FILES["llama-2-7b"] | {"attn_temperature_tuning": 4}) == [
        "attn_temperature_tuning"
    ]
