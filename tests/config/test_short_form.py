"""Configurations in few words: what is said comes back, and whatever else is said is refused word by word."""

import pytest

from config.data_config import DataConfig
from config.errors import ConfigError
from config.presets import PRESET_NAMES, SIZES, load_preset
from config.run_config import RunConfig
from config.short_form import from_words, split_words, to_words
from config.train_config import TrainConfig


def make(preset="llama", size="tiny", training=None, data=None, implementation="fused", **model) -> RunConfig:
    return RunConfig(
        model=load_preset(preset, size).replace(**model), implementation=implementation, preset=preset, size=size,
        training=TrainConfig(**(training or {})), data=DataConfig(**(data or {})),
    )  # fmt: skip


@pytest.mark.parametrize(
    "config",
    [make(preset, size) for preset in PRESET_NAMES for size in SIZES]
    + [
        make(position="alibi", n_kv_heads=2, tie_embeddings=True, norm_eps=1e-6, init_std=0.0123456789),
        make("gpt2", position="none", dropout=0.1, d_head=16, qkv_bias=False),
        make(implementation="einops", data={"tokenizer_type": "bpe", "vocab_size": 777, "data_size": "100k"}),
        make(training={"epochs": 2.5, "compile": True, "lr": 3e-4, "sample_prompt": 'Ü "x" & y=z\n#', "min_lr": 1e-5}),
        make(data={"text_file": "my texts/it's; rm -rf.txt"}),
    ],
)
def test_words_say_the_configuration_and_come_back(config: RunConfig):
    assert from_words(to_words(config)).config() == config


def test_only_what_departs_from_the_preset_is_said():
    assert to_words(make("olmo", "small")) == {"architecture": "olmo", "model_size": "small"}
    said = to_words(make(n_layers=6, rope_theta=5e5, training={"max_steps": 300}))
    assert list(said.items())[2:] == [("n_layers", "6"), ("rope_theta", "500000"), ("max_steps", "300")]
    assert "rope_theta" not in to_words(make(position="alibi", rope_theta=5e5))  # it has no effect


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("n_laiers", "4", "n_laiers: unknown field; did you mean n_layers?"),
        ("model_siz", "tiny", "did you mean model_size?"),
        ("architecture", "BERT", "architecture 'BERT' is not one of"),
        ("model_size", "huge", "model_size 'huge' is not one of tiny, small"),
        ("implementation", "numpy", "implementation 'numpy' is not one of"),
        ("n_layers", "many", "n_layers must be a whole number, not 'many'"),
        ("n_layers", "-1", "n_layers -1 is below 1"),
        ("n_layers", "9" * 900, "n_layers an integer of"),
        ("n_layers", "9" * 5_000, "n_layers has 5,000 characters"),
        ("n_layers", "none", "n_layers must be a whole number"),
        ("n_layers", "4.0", "n_layers must be a whole number"),
        ("lr", "nan", "lr must be a finite number"),
        ("lr", "1e999", "lr must be a finite number"),
        ("dropout", "2", "dropout 2.0 is above 0.95"),
        ("compile", "perhaps", "compile must be on or off"),
        ("position", "<script>", "position '<script>' is not one of"),
        ("d_vocab", "10", "d_vocab: unknown field"),
        ("rope_theta", "5e5", "rope_theta has no effect unless position is rope: leave it out"),
        ("sample_prompt", "x" * 1_001, "sample_prompt has 1,001 characters"),
        ("__class__", "x", "__class__: unknown field"),
        ("x" * 10_000, "1", f"{'x' * 60}: unknown field"),
    ],
)
def test_each_word_is_refused_alone_and_the_others_count(name: str, text: str, sentence: str):
    spoken = from_words({"n_heads": "8", name: text, "seed": "7"})
    (problem,) = spoken.problems
    assert problem.message.startswith(sentence) or sentence in problem.message
    assert len(problem.message) < 500
    assert spoken.values["model"]["n_heads"] == 8 and spoken.values["training"]["seed"] == 7
    if name in spoken.values["model"]:
        assert spoken.values["model"][name] == load_preset("gpt2").to_dict()[name]
    with pytest.raises(ConfigError):
        spoken.config()


def test_words_that_do_not_go_together_are_no_configuration():
    spoken = from_words({"architecture": "llama", "n_heads": "3"})
    assert spoken.problems == [] and spoken.values["model"]["n_heads"] == 3  # a form shows it with its problem
    with pytest.raises(ConfigError, match="not divisible by n_heads 3"):
        spoken.config()


def test_bare_words_are_architecture_and_size():
    assert split_words(["llama", "tiny", "position=alibi"]) == {
        "architecture": "llama", "model_size": "tiny", "position": "alibi",
    }  # fmt: skip
    with pytest.raises(ConfigError, match="architecture is given twice: llama and olmo"):
        split_words(["llama", "olmo"])
    assert split_words(["sample_prompt=a=b"]) == {"sample_prompt": "a=b"}
