"""Presets hold what their sources say, and the arithmetic of sizes agrees with known models."""

import pytest

from config.catalog import CATALOG, entry
from config.errors import ConfigError
from config.presets import PRESET_NAMES, SIZES, changed_fields, load_preset, preset_info, resolve_preset
from config.sizes import count_parameters, flops_per_token, kv_cache_bytes, parameters_by_component, training_memory


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
    assert flops_per_token(config) == 6 * (4 * 12 * 128 * 128 + 65 * 128) + 12 * 4 * 64 * 128


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
