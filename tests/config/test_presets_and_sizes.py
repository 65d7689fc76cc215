"""Presets hold what their sources say, and the arithmetic of sizes agrees with known models."""

import pytest

from config.catalog import CATALOG, entry
from config.errors import ConfigError
from config.presets import PRESET_NAMES, SIZES, changed_fields, load_preset, preset_info, resolve_preset
from config.sizes import (
    count_active_parameters,
    count_parameters,
    flops_per_token,
    kv_cache_bytes,
    parameters_by_component,
    training_memory,
)


def test_gpt2_full_has_the_released_parameter_count():
    assert count_parameters(load_preset("gpt2", "full")) == 124_439_808  # GPT-2 small as released


def test_llama_2_7b_has_the_released_parameter_count():
    config = load_preset("llama", "full").replace(d_model=4096, n_layers=32, n_heads=32, d_mlp=11008, n_ctx=4096)
    assert count_parameters(config) == 6_738_415_616


def test_post_norm_has_no_final_norm_and_rmsnorm_no_offset():
    gpt = load_preset("gpt2", "tiny")
    assert count_parameters(gpt) - count_parameters(gpt.replace(norm_placement="post")) == 2 * 128
    assert count_parameters(gpt) - count_parameters(gpt.replace(norm="rmsnorm")) == 9 * 128


def test_sharing_keys_and_values_saves_their_projections_and_cache():
    llama = load_preset("llama", "small")
    grouped = llama.replace(n_kv_heads=1)
    assert count_parameters(llama) - count_parameters(grouped) == 4 * 2 * 3 * 64 * 256
    assert kv_cache_bytes(grouped) * 4 == kv_cache_bytes(llama)


def test_flops_of_the_tiny_gpt_match_the_arithmetic_by_hand():
    config = load_preset("gpt2", "tiny").replace(d_vocab=65, qkv_bias=False, attention_out_bias=False, mlp_bias=False)
    weights, looks = 4 * 12 * 128 * 128 + 65 * 128, 12 * 4 * 64 * 128
    assert flops_per_token(config) == 6 * weights + looks
    assert flops_per_token(config, frozen=True) == 4 * weights + looks


# Released models: Mixtral, arXiv:2401.04088, 2 (46.7 B, of which a token uses 12.9 B); OLMoE, arXiv:2409.02060 (6.9 B,
# 1.3 B, here without its norms of queries and keys); Qwen1.5-MoE-A2.7B (14.3 B; its shared expert is 4 times as wide);
# DeepSeek-V2-Lite, arXiv:2405.04434, appendix B (15.7 B), and V3, arXiv:2412.19437, 4.2 (671 B, of which a token uses
# 37 B, without the layers that predict further ahead).
MIXTRAL = {"d_vocab": 32_000, "d_model": 4096, "n_layers": 32, "n_heads": 32, "n_kv_heads": 8, "d_mlp": 14_336,
           "n_ctx": 32_768, "n_experts": 8, "experts_per_token": 2}  # fmt: skip
OLMOE = {"d_vocab": 50_304, "d_model": 2048, "n_layers": 16, "n_heads": 16, "d_mlp": 1024, "n_ctx": 4096,
         "n_experts": 64, "experts_per_token": 8}  # fmt: skip
QWEN = {"d_vocab": 151_936, "d_model": 2048, "n_layers": 24, "n_heads": 16, "d_mlp": 5632, "n_ctx": 8192,
        "qkv_bias": True, "n_experts": 60, "experts_per_token": 4, "d_expert": 1408, "n_shared_experts": 4,
        "shared_expert_gate": True}  # fmt: skip

V2_LITE = {"d_vocab": 102_400, "d_model": 2048, "n_layers": 27, "n_heads": 16, "d_head": 128, "d_mlp": 10_944,
           "n_ctx": 4096, "attention": "mla", "kv_rank": 512, "d_head_rope": 64, "d_head_value": 128, "n_experts": 64,
           "experts_per_token": 6, "d_expert": 1408, "n_shared_experts": 2, "moe_pattern": "d" + 26 * "m"}  # fmt: skip
V3 = V2_LITE | {"d_vocab": 129_280, "d_model": 7168, "n_layers": 61, "n_heads": 128, "d_mlp": 18_432, "q_rank": 1536,
                "n_experts": 256, "experts_per_token": 8, "d_expert": 2048, "n_shared_experts": 1, "router": "sigmoid",
                "expert_groups": 8, "groups_per_token": 4, "router_selection_bias": True,
                "moe_pattern": "ddd" + 58 * "m"}  # fmt: skip


@pytest.mark.parametrize("fields, total, active", [
    (MIXTRAL, 46_702_792_704, 12_879_925_248), (OLMOE, 6_919_096_320, 1_281_951_744),
    (QWEN, 14_315_784_192, 2_689_173_504), (V2_LITE, 15_706_484_224, 2_661_150_208),
    (V3, 671_026_404_352, 37_552_282_624),
], ids=["mixtral", "olmoe", "qwen", "deepseek-v2-lite", "deepseek-v3"])  # fmt: skip
def test_released_mixtures_have_their_parameter_counts(fields, total, active):
    config = load_preset("llama", "full").replace(**fields)
    assert count_parameters(config) == total
    assert count_active_parameters(config) == active


def test_the_latent_and_the_shared_key_are_all_that_is_cached():
    lite = load_preset("llama", "full").replace(**V2_LITE)
    assert kv_cache_bytes(lite) == 27 * 4096 * (512 + 64) * 4
    assert kv_cache_bytes(lite.replace(position="none")) == 27 * 4096 * 512 * 4


def test_what_a_token_costs_does_not_depend_on_how_many_experts_there_are():
    dense = load_preset("llama", "tiny")
    few, many = (dense.replace(n_experts=n, experts_per_token=2, d_expert=256) for n in (4, 32))
    assert count_active_parameters(dense) == count_parameters(dense)
    for config in (few, many):  # two experts of half the width are the dense MLP; the router comes on top
        routers = 4 * 128 * config.n_experts
        assert count_active_parameters(config) - count_active_parameters(dense) == routers
        assert flops_per_token(config) - flops_per_token(dense) == 6 * routers
    assert count_parameters(many) > 2 * count_parameters(few)
    half = many.replace(moe_pattern="dm")
    assert parameters_by_component(half)["mlp"] == parameters_by_component(dense)["mlp"] // 2
    assert parameters_by_component(half)["experts"] == parameters_by_component(many)["experts"] // 2


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", PRESET_NAMES)
def test_every_preset_in_every_size_is_sound_and_unmodified(name, size):
    config = load_preset(name, size)
    assert changed_fields(config, name, size) == {}
    assert changed_fields(config.replace(position="none"), name, size) == {"position": (config.position, "none")}
    assert sum(parameters_by_component(config).values()) == count_parameters(config)
    assert all(entry(slot, getattr(config, slot)) for slot in ("norm", "position", "mlp"))


def test_what_people_type_finds_the_preset():
    assert [resolve_preset(typed) for typed in ("GPT", "gpt2", "GPT-2", "LLAMA", "OLMo")] == [
        "gpt2", "gpt2", "gpt2", "llama", "olmo",
    ]  # fmt: skip
    with pytest.raises(ConfigError, match="'BERT' is not one of gpt2, llama, olmo"):
        resolve_preset("BERT")
    with pytest.raises(ConfigError, match="'huge' is not one of tiny"):
        load_preset("gpt2", "huge")


def test_presets_say_where_their_facts_come_from():
    for name in PRESET_NAMES:
        info = preset_info(name)
        assert info.source and info.summary and info.note


def test_memory_counts_four_numbers_for_each_weight_and_grows_with_the_batch():
    config = load_preset("gpt2", "tiny").replace(d_vocab=1_000)
    one, twelve = training_memory(config, 1), training_memory(config, 12)
    assert one.weights + one.gradients + one.optimizer == 16 * count_parameters(config)
    assert twelve.activations == 12 * one.activations
    assert training_memory(config, 1, "einops").total > one.total


def test_catalogue_files_and_slots_are_unique():
    assert len({(line.slot, line.name) for line in CATALOG}) == len(CATALOG)


def test_adapters_need_gradients_and_moments_of_their_own_alone():
    config = load_preset("llama", "small")
    all_weights, adapters = training_memory(config, 4), training_memory(config, 4, trained=1_000)
    assert (adapters.gradients, adapters.optimizer) == (4_000, 8_000)
    assert adapters.weights == all_weights.weights + 4_000 and adapters.activations == all_weights.activations
