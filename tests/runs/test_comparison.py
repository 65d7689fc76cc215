"""What sets runs apart, as a sentence and as rows: complete, and without what has no effect."""

import itertools
from dataclasses import replace

import pytest

from config.data_config import DataConfig
from config.errors import ConfigError
from config.fields import SET, describe
from config.lora_config import LoraConfig
from config.model_config import ModelConfig
from config.parent import Parent
from config.presets import PRESET_NAMES, SIZES, load_preset
from config.run_config import RunConfig
from config.train_config import TrainConfig
from runs.comparison import SAME, WATCHED_DIFFERENTLY, find_differences, model_name, what_changed
from runs.setting_words import in_running_text, value_in_words


def make(preset="llama", size="tiny", training=None, data=None, implementation="fused", **model) -> RunConfig:
    return RunConfig(
        model=load_preset(preset, size).replace(**model), implementation=implementation, preset=preset, size=size,
        training=TrainConfig(**(training or {})), data=DataConfig(**(data or {})),
    )  # fmt: skip


LLAMA = make()


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        (LLAMA, SAME),
        (make(n_kv_heads=4, d_head=32), SAME),  # said aloud, and the same
        (make(rope_theta=10_000.0), SAME),
        (make(position="alibi", n_layers=8), "LLaMA tiny with ALiBi instead of RoPE, twice the layers"),
        (make(position="none"), "LLaMA tiny with no positions instead of RoPE"),
        (make("gpt2"), "GPT-2 tiny instead of LLaMA tiny"),
        (make(size="small"), "LLaMA small instead of tiny"),
        (make("gpt2", "small", dropout=0.1), "GPT-2 small instead of LLaMA tiny, with dropout 0.1 instead of 0"),
        (make(n_layers=6), "LLaMA tiny with 6 layers instead of 4"),
        (make(n_layers=1), "LLaMA tiny with a quarter of the layers"),
        (make(n_heads=8), "LLaMA tiny with twice the heads"),  # and not also heads of half the width
        (make(n_kv_heads=1), "LLaMA tiny with a quarter of the key/value heads"),
        (make(tie_embeddings=True, mlp="gelu"), "LLaMA tiny with GELU MLP instead of SwiGLU MLP, tie embeddings on"),
        (make(training={"seed": 2674}), "LLaMA tiny with seed 2674 instead of 1337"),
        (make(training={"lr": 2e-3}), "LLaMA tiny with twice the learning rate"),  # and not also its final one
        (make(training={"epochs": 2.5}), "LLaMA tiny with epochs 2.5"),  # instead of nothing
        (make(training={"eval_interval": 7}), WATCHED_DIFFERENTLY),
        (make(implementation="einops"), "LLaMA tiny with implementation einops instead of fused"),
        (make(data={"text_file": "/secret/place/tale.txt"}), "LLaMA tiny with text tale.txt instead of training.txt"),
    ],
)  # fmt: skip
def test_the_sentence_says_what_changed(other: RunConfig, sentence: str):
    assert what_changed(LLAMA, other) == sentence


def test_a_changed_reference_is_compared_as_it_is():
    reference = make(position="alibi")
    assert what_changed(reference, make(position="alibi", size="small")) == "LLaMA small instead of tiny"
    assert what_changed(reference, make(size="small")) == "LLaMA small instead of tiny, with RoPE instead of ALiBi"
    assert what_changed(reference, make("olmo")).startswith("OLMo tiny instead of LLaMA tiny")


KINDS = {"model": ModelConfig, "training": TrainConfig, "data": DataConfig}


@pytest.mark.parametrize("part", KINDS)
def test_every_setting_with_an_effect_is_in_the_sentence_and_in_the_rows(part):
    """Change one field after the other: none of them may pass unnoticed."""
    untried = []
    for name, info in describe(KINDS[part]).items():
        pairs = [(before, after) for before, after in _pairs(part, info) if before and after]
        if not pairs:
            untried.append(name)
            continue
        before, after = pairs[0]
        rows = [row for row in find_differences([before, after]) if row.title == info.title]
        assert len(rows) == 1 and len(set(rows[0].words)) == 2, name
        sentence = what_changed(before, after)
        assert (sentence == WATCHED_DIFFERENTLY) == (info.group == "Watching") and sentence != SAME, name
    assert len(untried) < len(describe(KINDS[part])) / 4, untried  # those that cannot be changed alone


def _pairs(part, info):
    """Configurations that differ in this field alone, as far as it can be changed alone."""
    base = {}
    for other, wanted in info.only_when:
        base[other] = 4 if SET in wanted else wanted[0]
    numbers = [2, 4, 0.5, 1, 16, 64, 0.001]
    tried = [*info.choices, not info.default, info.default, "other.txt", "100k", "dm", *numbers]
    for value in () if info.name == "d_vocab" else tried:
        yield _config(part, base), value != info.default and _config(part, base | {info.name: value})


def _config(part, values):
    try:
        return RunConfig(**{"model": ModelConfig(), part: KINDS[part](**values)})
    except ConfigError:
        return None


def test_rows_have_the_value_of_every_run_and_a_dash_where_it_has_none():
    rows = find_differences([LLAMA, make("gpt2", n_kv_heads=1), make(training={"max_steps": 20_000})])
    words = {row.title: (row.section, row.words) for row in rows}
    assert words["Positions"] == ("Architecture", ("rope", "learned", "rope"))
    assert "RoPE base" not in words and "GELU form" not in words  # as they always are beside these components
    assert words["Key/value heads"] == ("Architecture", ("4", "1", "4"))
    assert words["Steps"] == ("Training", ("2,000", "2,000", "20,000"))
    (row,) = [row for row in find_differences([make(rope_theta=5e5), make("gpt2")]) if row.title == "RoPE base"]
    assert row.words == ("500000", "–")
    assert find_differences([LLAMA, LLAMA]) == [] == find_differences([])


@pytest.mark.parametrize(("first", "second"), [*itertools.permutations(
    [(preset, size) for preset in PRESET_NAMES[:3] for size in SIZES[:2]], 2)])  # fmt: skip
def test_presets_and_sizes_explain_all_their_fields(first, second):
    sentence = what_changed(make(*first), make(*second))
    assert " instead of " in sentence and " with " not in sentence


def test_many_changes_are_cut_short():
    sentence = what_changed(LLAMA, make("llama", "tiny", {"lr": 1.0, "beta1": 0.5, "seed": 1, "batch_size": 5},
                                        n_layers=3, dropout=0.3, mlp="gelu", position="none"))  # fmt: skip
    assert sentence.count(", ") == 5 and sentence.endswith(", and 3 more changes")


def test_an_architecture_without_a_preset_has_a_name_and_all_its_changes():
    own = RunConfig(model=LLAMA.model.replace(n_layers=5))
    assert model_name(own) == "own architecture"
    assert what_changed(LLAMA, own) == "own architecture instead of LLaMA tiny, with 5 layers instead of 4"


def test_words_are_one_line_without_controls():
    info = describe(DataConfig)["text_file"]
    assert value_in_words(info, "a/\x1b[31mred\u202e\n.txt") == "[31mred .txt"
    assert value_in_words(info, f"checkpoints/.uploads/{'0' * 64}.txt") == "an upload"
    assert in_running_text("RoPE base") == "RoPE base" and in_running_text("Learning rate") == "learning rate"


def test_where_the_weights_come_from_is_told():
    parent = Parent(run="20260101000000", step=1_500, path="x", weights_sha256="0" * 64, token_files="", carried="all")
    tuned = replace(LLAMA, parent=parent, lora=LoraConfig(lora_rank=8))
    beginning = "the weights of step 1,500 of 20260101000000 instead of new weights"
    assert what_changed(LLAMA, tuned) == f"LLaMA tiny with LoRA rank 8, {beginning}"
    rows = {row.title: row.words for row in find_differences([LLAMA, tuned])}
    assert rows["Begins from"] == ("new weights", "the weights of step 1,500 of 20260101000000")
    assert rows["LoRA rank"] == ("unset", "8")
