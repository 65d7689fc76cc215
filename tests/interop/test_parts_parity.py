"""Routers, the penalty and latent attention beside those of `transformers`, part by part, on random weights."""

import pytest
import torch
from transformers import DeepseekV2Config, DeepseekV3Config, GptOssConfig, MixtralConfig, OlmoeConfig
from transformers.models.deepseek_v2.modeling_deepseek_v2 import DeepseekV2TopkRouter
from transformers.models.deepseek_v3.modeling_deepseek_v3 import (
    DeepseekV3Attention,
    DeepseekV3RotaryEmbedding,
    DeepseekV3TopkRouter,
)
from transformers.models.gpt_oss.modeling_gpt_oss import GptOssTopKRouter
from transformers.models.mixtral.modeling_mixtral import MixtralTopKRouter, load_balancing_loss_func
from transformers.models.olmoe.modeling_olmoe import OlmoeTopKRouter

from components.balance import RoutingRecord
from components.registry import resolve
from config.model_config import ModelConfig

SIZES = {"d_vocab": 31, "d_model": 24, "n_heads": 3, "d_head": 8, "n_ctx": 16, "n_experts": 12, "experts_per_token": 3}
every_implementation = pytest.mark.parametrize("implementation", ["einops", "torch", "fused"])
close = torch.testing.assert_close
V3 = {"hidden_size": 24, "num_attention_heads": 3, "n_routed_experts": 12, "num_experts_per_tok": 3, "n_group": 4,
      "topk_group": 2, "routed_scaling_factor": 2.5}  # fmt: skip
GROUPS = {"expert_groups": 4, "groups_per_token": 2, "router_scale": 2.5}
ROUTERS = {
    "mixtral": (MixtralTopKRouter, MixtralConfig(hidden_size=24, num_local_experts=12, num_experts_per_tok=3), {}),
    "olmoe": (OlmoeTopKRouter, OlmoeConfig(hidden_size=24, num_experts=12, num_experts_per_tok=3),
              {"router_renormalize": False}),
    "deepseek-v2": (DeepseekV2TopkRouter, DeepseekV2Config(**V3, topk_method="group_limited_greedy"),
                    GROUPS | {"router_renormalize": False}),
    "deepseek-v3": (DeepseekV3TopkRouter, DeepseekV3Config(**V3),
                    GROUPS | {"router": "sigmoid", "router_selection_bias": True}),
    "gpt-oss": (GptOssTopKRouter, GptOssConfig(hidden_size=24, num_local_experts=12, num_experts_per_tok=3),
                {"router_bias": True}),
}  # fmt: skip


@pytest.mark.parametrize("name", ROUTERS)
@every_implementation
@torch.no_grad()
def test_routers_choose_and_weigh_alike(name: str, implementation: str) -> None:
    kind, config, fields = ROUTERS[name]
    generator = torch.Generator().manual_seed(3)
    theirs = kind(config)
    ours = resolve("routing", "top_k", implementation)(ModelConfig(**SIZES | fields))
    theirs.weight.copy_(torch.randn(theirs.weight.shape, generator=generator))
    ours.score_proj.weight.copy_(theirs.weight)
    if "router_bias" in fields:
        theirs.bias.copy_(torch.randn(12, generator=generator))
        ours.score_proj.bias.copy_(theirs.bias)
    if "router_selection_bias" in fields:
        theirs.e_score_correction_bias.copy_(0.3 * torch.randn(12, generator=generator))
        ours.selection_bias.copy_(theirs.e_score_correction_bias)
    x = torch.randn(2, 40, 24, generator=generator)
    _, weights, experts = theirs(x.flatten(0, 1))
    choice = ours(x)
    expected = torch.zeros(80, 12).scatter(1, experts, weights)
    got = torch.zeros(80, 12).scatter(1, choice.experts.flatten(0, 1), choice.weights.flatten(0, 1))
    assert torch.equal(got > 0, expected > 0)
    close(got, expected, atol=1e-6, rtol=1e-5)


def test_the_penalty_of_one_layer_is_that_of_mixtral() -> None:
    router = resolve("routing", "top_k", "fused")(ModelConfig(**SIZES))
    x = torch.randn(2, 40, 24, generator=torch.Generator().manual_seed(1))
    record = RoutingRecord()
    record.add(router(x))
    expected = load_balancing_loss_func((router.score_proj(x).flatten(0, 1),), num_experts=12, top_k=3)
    close(record.penalty, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("q_rank", [None, 10])
@every_implementation
@torch.no_grad()
def test_latent_attention_is_that_of_deepseek(q_rank: int | None, implementation: str) -> None:
    theirs_config = DeepseekV3Config(
        hidden_size=24, num_attention_heads=3, num_key_value_heads=3, q_lora_rank=q_rank, kv_lora_rank=14,
        qk_nope_head_dim=8, qk_rope_head_dim=6, v_head_dim=5, attention_bias=True, rope_interleave=False,
        rms_norm_eps=3e-3, max_position_embeddings=16,
    )  # fmt: skip
    theirs_config._attn_implementation = "eager"
    theirs = DeepseekV3Attention(theirs_config, layer_idx=0).eval()
    generator = torch.Generator().manual_seed(5)
    for parameter in theirs.parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=generator) * (0.3 if parameter.ndim > 1 else 1.0))
    config = ModelConfig(
        **SIZES, attention="mla", position="rope", q_rank=q_rank, kv_rank=14, d_head_rope=6, d_head_value=5,
        norm_eps=3e-3,
    )  # fmt: skip
    ours = resolve("attention", "mla", implementation)(config).eval()
    names = {"kv_a_proj_with_mqa": "latent_proj", "kv_a_layernorm": "latent_norm", "kv_b_proj": "unpack_proj",
             "o_proj": "out_proj", "q_proj": "query_proj", "q_a_proj": "query_latent_proj",
             "q_a_layernorm": "query_norm", "q_b_proj": "query_proj"}  # fmt: skip
    state = {f"{names[key.split('.')[0]]}.{key.split('.')[1]}": value for key, value in theirs.state_dict().items()}
    ours.load_state_dict(state, strict=True)
    x = torch.randn(2, 7, 24, generator=generator)
    angles = DeepseekV3RotaryEmbedding(theirs_config)(x, torch.arange(7)[None])
    mask = torch.full((7, 7), float("-inf")).triu(1)[None, None]
    expected = theirs(x, angles, mask)[0]
    close(ours(x, resolve("position", "rope", implementation)(config)), expected, atol=1e-5, rtol=1e-4)
