"""Settings describe themselves, and everything wrong with them is said at once."""

import pickle
import time

import pytest

from config.data_config import DataConfig
from config.errors import ConfigError
from config.fields import describe, find_problems, is_active
from config.model_config import ModelConfig
from config.patterns import spread
from config.run_config import RunConfig
from config.train_config import TrainConfig


@pytest.mark.parametrize("config_class", [ModelConfig, TrainConfig, DataConfig])
def test_every_setting_says_what_it_does_and_what_is_typical(config_class):
    for info in describe(config_class).values():
        assert info.help.endswith(".") and info.title and info.group and info.typical, info.name


def test_all_problems_are_reported_at_once_with_the_numbers():
    values = {"d_model": 128, "n_heads": 3, "n_kv_heads": 2, "n_head": 3, "n_layers": 10**9, "norm": "batchnorm"}
    found = {problem.field: problem.message for problem in find_problems(ModelConfig, values)}
    assert found["n_heads"].startswith("d_model 128 is not divisible by n_heads 3: take n_heads ")
    assert found["n_kv_heads"] == "n_heads 3 is not a multiple of n_kv_heads 2: take one of 1, 3"
    assert found["n_head"] == "n_head: unknown field; did you mean n_heads?"
    assert "1,000,000,000 is above 1,024" in found["n_layers"]
    assert found["norm"] == "norm 'batchnorm' is not one of layernorm, rmsnorm"
    with pytest.raises(ConfigError) as error:
        ModelConfig.from_dict(values)
    assert len(error.value.problems) == 5


@pytest.mark.parametrize("changes, field, words", [
    ({"position": "rope", "d_head": 33}, "d_head", "head width is 33"),
    ({"position": "rope", "d_model": 36, "n_heads": 4}, "n_heads", "head width is 9"),
    ({"position": "sinusoidal", "d_model": 33, "n_heads": 1}, "d_model", "even d_model"),
    ({"dropout": 1.0}, "dropout", "above 0.95"),
    ({"n_layers": 0}, "n_layers", "below 1"),
    ({"d_model": True}, "d_model", "must be a whole number, not bool"),
    ({"d_model": "128"}, "d_model", "must be a whole number, not '128'"),
    ({"norm_eps": float("inf")}, "norm_eps", "finite"),
    ({"norm_eps": float("nan")}, "norm_eps", "finite"),
    ({"norm": None}, "norm", "must be a word"),
    ({"position": "rope", "rotary_dim": 7}, "rotary_dim", "rotary_dim 7 is not possible: take an even number up to 32"),
    ({"position": "rope", "rotary_dim": 34}, "rotary_dim", "pairs of the 32 dimensions of a head"),
    ({"position": "rope", "rotary_dim": 2, "d_head": 1}, "rotary_dim", "set d_head to 2 or more"),
    ({"parallel_residual": "one_norm", "norm_placement": "post"}, "parallel_residual", "norm_placement pre, not post"),
    ({"attention_pattern": "fw"}, "window", "attention_pattern fw has window layers: set window, e.g. to 16"),
    ({"attention_pattern": "fx"}, "attention_pattern", "'fx' is not made of the letters f (full) and w (window)"),
    ({"attention_pattern": ""}, "attention_pattern", "'' is not made of the letters"),
    ({"position_pattern": "ppx"}, "position_pattern", "'ppx' is not made of the letters p (positions) and n (none)"),
    ({"position": "rope", "rope_scaling": "llama3", "rope_high_freq_factor": 1.0}, "rope_high_freq_factor",
     "1 must be above rope_low_freq_factor 1"),
    ({"position": "rope", "rope_scaling": "yarn", "rope_beta_slow": 40.0}, "rope_beta_fast", "32 must be above"),
    ({"logit_softcap": 0.0}, "logit_softcap", "below 0.001"),
])  # fmt: skip
def test_impossible_models_are_refused(changes, field, words):
    (problem,) = find_problems(ModelConfig, changes)
    assert problem.field == field and words in problem.message


def test_window_and_scaling_wait_for_what_they_belong_to():
    fields = describe(ModelConfig)
    assert not is_active(fields["window"], {"attention_pattern": "f"})
    assert is_active(fields["window"], {"attention_pattern": "fffw"})
    assert not is_active(fields["rope_factor"], {"position": "alibi", "rope_scaling": "yarn"})
    assert is_active(fields["rope_factor"], {"position": "rope", "rope_scaling": "yarn"})
    assert not is_active(fields["norm_unit_offset"], {"norm_gain": False})


def test_layers_take_their_letters_in_turn():
    config = ModelConfig(n_layers=6, attention_pattern="wwwf", window=3, position_pattern="n" + 60 * "p")
    assert config.windows == (3, 3, 3, None, 3, 3)
    assert config.position_layers == (False, True, True, True, True, True)


def test_fields_of_all_parts_stand_in_the_order_of_the_form():
    names = list(ModelConfig().to_dict())
    assert names == list(describe(ModelConfig)) and names[:2] == ["d_model", "n_layers"]


def test_a_setting_without_effect_is_known_as_such():
    info = describe(ModelConfig)["rope_theta"]
    assert is_active(info, {"position": "rope"}) and not is_active(info, {"position": "alibi"})


@pytest.mark.parametrize("changes, field", [
    ({"batch_size": 12, "grad_accumulation": 5}, "grad_accumulation"),
    ({"lr": 1e-4, "min_lr": 1e-3}, "min_lr"),
    ({"max_steps": 10, "warmup_steps": 100}, "warmup_steps"),
])  # fmt: skip
def test_impossible_recipes_are_refused(changes, field):
    assert [problem.field for problem in find_problems(TrainConfig, changes)] == [field]


@pytest.mark.parametrize("size", ["1.5", "", "-1", "0", "0.0", "ten", "1e3", "0k", "nan", "9" * 400])
def test_amounts_of_text_that_make_no_sense_are_refused(size):
    assert [problem.field for problem in find_problems(DataConfig, {"data_size": size})] == ["data_size"]


@pytest.mark.parametrize("size", ["1.0", "0.1", ".5", "50000", "100k", "1m", "2.5M", "all"])
def test_amounts_of_text_that_people_write_are_taken(size):
    assert find_problems(DataConfig, {"data_size": size}) == []


def test_a_run_config_survives_json_and_leaves_the_vocabulary_open():
    config = RunConfig(model=ModelConfig(d_vocab=99), preset="gpt2", size="tiny")
    values = config.to_dict()
    assert values["model"]["d_vocab"] is None
    again = RunConfig.from_dict(values)
    assert again.with_vocabulary(99) == config.model and again.training == config.training


def test_a_hostile_run_config_is_refused_in_one_go():
    values = RunConfig(model=ModelConfig()).to_dict()
    values["model"] |= {"d_model": 10**5000, "n_layers": 1e400}
    values |= {"implementation": "cuda", "data": [1], "extra": 1, "preset": 3}
    started = time.perf_counter()
    with pytest.raises(ConfigError) as error:
        RunConfig.from_dict(values)
    assert time.perf_counter() - started < 0.05
    assert {problem.field for problem in error.value.problems} == {
        "d_model", "n_layers", "implementation", "data", "extra", "preset",
    }  # fmt: skip
    with pytest.raises(ConfigError, match="not a table"):
        RunConfig.from_dict([])
    with pytest.raises(ConfigError, match="format"):
        RunConfig.from_dict({"format": 99})


def test_how_a_tokenizer_learns_is_shown_with_it_alone():
    fields = describe(DataConfig)
    for name, kind in (("bpe_pattern", "bpe"), ("sentencepiece_model", "sentencepiece")):
        kinds = fields["tokenizer_type"].choices
        assert [choice for choice in kinds if is_active(fields[name], {"tokenizer_type": choice})] == [kind]
    assert DataConfig(sentencepiece_model="unigram", bpe_pattern="gpt4").tokenizer_options == {
        "sentencepiece_model": "unigram",
        "bpe_pattern": "gpt4",
    }
    assert [problem.field for problem in find_problems(DataConfig, {"bpe_pattern": "gpt3"})] == ["bpe_pattern"]


def test_the_choices_are_those_that_the_text_folder_has():
    """config/ cannot import text/, so the names stand in both."""
    from text.sentence_piece import MODEL_TYPES
    from text.tokenizer_types import CLASSES
    from text.words import PATTERNS

    fields = describe(DataConfig)
    assert fields["tokenizer_type"].choices == tuple(CLASSES)
    assert fields["bpe_pattern"].choices == tuple(PATTERNS)
    assert fields["sentencepiece_model"].choices == MODEL_TYPES
    assert DataConfig(tokenizer_type="byte").expected_vocabulary == 256


def test_an_error_survives_the_way_between_processes():
    with pytest.raises(ConfigError) as caught:
        ModelConfig(d_model=0, n_layers=0)
    again = pickle.loads(pickle.dumps(caught.value))
    assert again.problems == caught.value.problems and str(again) == str(caught.value)


@pytest.mark.parametrize("changes, field, words", [
    ({"experts_per_token": 9}, "experts_per_token", "9 is more than n_experts 8"),
    ({"moe_pattern": "mx"}, "moe_pattern", "'mx' is not made of the letters m (mixture) and d (dense)"),
    ({"moe_pattern": ""}, "moe_pattern", "''"),
    ({"moe_pattern": "ddddm"}, "moe_pattern", "gives none of the 4 layers experts"),
    ({"expert_groups": 3, "groups_per_token": 1}, "expert_groups", "8 cannot be cut into 3 equal groups"),
    ({"expert_groups": 8, "groups_per_token": 2, "router": "sigmoid"}, "expert_groups", "groups of 1 expert"),
    ({"expert_groups": 4}, "groups_per_token", "unset: take 1 to 4"),
    ({"expert_groups": 4, "groups_per_token": 5}, "groups_per_token", "is 5: take 1 to 4"),
    ({"expert_groups": 4, "groups_per_token": 1, "experts_per_token": 3}, "groups_per_token", "visit 2 groups"),
])  # fmt: skip
def test_impossible_mixtures_are_refused_and_dense_models_are_not_asked(changes, field, words):
    (problem,) = find_problems(ModelConfig, {"n_experts": 8} | changes)
    assert problem.field == field and words in problem.message
    assert not find_problems(ModelConfig, changes)


@pytest.mark.parametrize("changes, field, words", [
    ({"n_kv_heads": 2}, "n_kv_heads", "2 has no place in latent attention"),
    ({"qk_norm": "head"}, "qk_norm", "qk_norm head has no place in latent attention: take none"),
    ({"attention_softcap": 50.0}, "attention_softcap", "leave it unset"),
    ({"position": "rope", "d_head_rope": 5}, "d_head_rope", "d_head_rope is 5: take 6"),
])  # fmt: skip
def test_what_has_no_place_in_latent_attention_is_refused(changes, field, words):
    (problem,) = find_problems(ModelConfig, {"attention": "mla"} | changes)
    assert problem.field == field and words in problem.message
    assert not find_problems(ModelConfig, {"attention": "mla", "position": "rope", "d_head": 33})


def test_a_setting_may_wait_for_another_one_to_be_set():
    info = describe(ModelConfig)["groups_per_token"]
    assert is_active(info, {"n_experts": 8, "expert_groups": 2})
    assert not is_active(info, {"n_experts": 8, "expert_groups": None})
    assert not is_active(info, {"n_experts": None, "expert_groups": 2})


def test_patterns_are_repeated_over_the_layers_and_cut():
    assert spread("wwwf", 6) == "wwwfww" and spread("d" + 60 * "m", 4) == "dmmm"
    layers = ModelConfig(n_experts=4, moe_pattern="dm", n_layers=3).expert_layers
    assert layers == (False, True, False) and ModelConfig(moe_pattern="dm").expert_layers == (False,) * 4
