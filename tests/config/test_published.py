"""The presets have the published numbers of parameters, by arithmetic and as built, without any memory for them."""

import pytest
import torch

from components.model import Transformer
from config.errors import ConfigError
from config.presets import FOLDER, MORE_PRESETS, PRESET_NAMES, SIZES, differences_between, load_preset, preset_info
from config.sizes import count_parameters

ALL = (*PRESET_NAMES, *MORE_PRESETS)
PUBLISHED = [(preset, size) for preset in ALL for size in preset_info(preset).published]
# OPT's table of positions begins with two rows that no text without padding reads; they were published, too.
UNREAD_ROWS = {"opt": 2}
MANY_MODULES = {
    "qwen3_moe",
    "qwen2_moe",
    "olmoe",
    "gpt_oss",
    "mixtral",
    "deepseek_v2",
    "deepseek_v3",
    "glm4_moe",
    "granite_moe",
    "minimax_m2",
}  # one for each expert: seconds to build


def published(preset: str, size: str) -> int:
    return preset_info(preset).parameters[size] - UNREAD_ROWS.get(preset, 0) * load_preset(preset, size).d_model


def built(config) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in Transformer(config).parameters())


@pytest.mark.parametrize(("preset", "size"), PUBLISHED, ids=[size for _, size in PUBLISHED])
def test_the_arithmetic_gives_the_published_number(preset, size):
    assert count_parameters(load_preset(preset, size)) == published(preset, size)


SMALLEST = {preset: min(preset_info(preset).published, key=preset_info(preset).parameters.get)
            for preset in ALL if preset_info(preset).published}  # fmt: skip


@pytest.mark.parametrize("preset", sorted(SMALLEST.keys() - MANY_MODULES))
def test_the_model_that_is_built_has_the_published_number(preset):
    assert built(load_preset(preset, SMALLEST[preset])) == published(preset, SMALLEST[preset])


@pytest.mark.slow
@pytest.mark.parametrize(("preset", "size"), PUBLISHED, ids=[size for _, size in PUBLISHED])
def test_every_size_that_is_built_has_the_published_number(preset, size):
    assert built(load_preset(preset, size)) == published(preset, size)


@pytest.mark.parametrize("preset", ALL)
def test_every_preset_is_sound_in_every_size_for_training(preset):
    for size in SIZES:
        config = load_preset(preset, size)
        assert built(config) == count_parameters(config)


def test_every_file_is_in_a_list():
    assert {path.stem for path in FOLDER.glob("*.toml")} == {*ALL, "sizes", "demos"}
    assert len(PUBLISHED) > 110


def test_what_sets_a_preset_apart_are_causes_and_not_their_consequences():
    told = {info.name: (before, now) for info, before, now in differences_between("gpt2")}
    assert told["position"] == ("rope", "learned")
    assert "rope_theta" not in told and "norm_eps" not in told
    assert [info.name for info, _, _ in differences_between("llama3")] == ["n_kv_heads", "rope_theta"]
    assert differences_between("llama") == []


def test_a_size_of_another_family_is_refused_with_those_there_are():
    with pytest.raises(
        ConfigError, match=r"'qwen3-8b' is not one of tiny, small, medium, full, llama-7b, .*llama-2-70b"
    ):
        load_preset("llama", "qwen3-8b")
