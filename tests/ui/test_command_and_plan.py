"""The command of the readiness card is what train.py understands, and its numbers are right."""

import shlex

import pytest

from config.data_config import DataConfig
from config.presets import PRESET_NAMES, SIZES, load_preset
from config.run_config import RunConfig
from config.train_config import TrainConfig
from train import build_parser, configure
from ui.command import equivalent_command
from ui.plan import costs, headline, make_plan


def run_config(preset="llama", size="tiny", data=None, training=None, implementation="fused", **changes) -> RunConfig:
    return RunConfig(
        model=load_preset(preset, size).replace(**changes), implementation=implementation,
        data=DataConfig(**(data or {})), training=TrainConfig(**(training or {})), preset=preset, size=size,
    )  # fmt: skip


def parsed(command: str) -> RunConfig:
    words = shlex.split(command.replace("\\\n", ""))  # a shell joins the lines
    assert words[:3] == ["uv", "run", "train.py"]
    return configure(build_parser().parse_args(words[3:]))


@pytest.mark.parametrize(
    "config",
    [run_config(preset, size) for preset in PRESET_NAMES for size in SIZES]
    + [
        run_config(position="alibi", n_kv_heads=2, tie_embeddings=True, norm_eps=1e-6),
        run_config(rope_theta=500_000.0, d_head=48),
        run_config("gpt2", qkv_bias=False, dropout=0.1, d_head=16, init_std=0.0123456789),
        run_config(implementation="einops", data={"tokenizer_type": "bpe", "vocab_size": 777, "data_size": "100k"}),
        run_config(data={"text_file": "my texts/it's; rm -rf.txt", "encoding": "latin-1", "val_fraction": 0.05}),
        run_config(training={"epochs": 2.5, "compile": True, "sample_prompt": 'O, $HOME `x` "y"', "lr": 3e-4}),
    ],
)
def test_command_says_what_the_form_says(config):
    assert parsed(equivalent_command(config)) == config


def test_command_leaves_out_what_has_no_effect():
    config = run_config(position="alibi", rope_theta=500_000.0)
    assert parsed(equivalent_command(config)) == run_config(position="alibi")


def test_command_names_only_what_differs():
    assert equivalent_command(run_config("gpt2", "small")) == "uv run train.py --architecture GPT --model_size small"
    changed = equivalent_command(run_config(n_layers=6, training={"max_steps": 300}))
    assert changed.split("--")[1:] == [
        "architecture LLAMA ", "model_size tiny \\\n  ", "n_layers 6 \\\n  ", "max_steps 300",
    ]  # fmt: skip


def plan_of(config: RunConfig, train_tokens: int = 100_000, flops: float = 1e10):
    return make_plan(config, config.with_vocabulary(100), train_tokens, 10**9, flops)


def test_epochs_and_steps_are_two_ways_to_say_one_thing():
    by_steps = plan_of(run_config(training={"max_steps": 1000, "batch_size": 10}))
    assert by_steps.epochs == pytest.approx(1000 * 10 * 64 / 100_000)
    by_epochs = plan_of(run_config(training={"epochs": 6.4, "batch_size": 10}))
    assert by_epochs.steps == 1000


def test_twice_the_speed_is_half_the_time():
    assert plan_of(run_config(), flops=2e10).seconds == pytest.approx(plan_of(run_config()).seconds / 2)


def test_sentences_carry_units_and_few_digits():
    plan = plan_of(run_config(training={"max_steps": 2000}))
    assert headline(plan, 1_100_000, 412_000, True) == "1.08 M parameters · 1.1 MB text = 412 k tokens · 15 epochs"
    assert headline(plan, 10_000_000, 9_120_000, False).count("about 9.12 M tokens") == 1
    assert costs(plan, measured=False).startswith("very roughly 20 min (Measure first tells) · ")
    assert costs(plan, measured=True).startswith("about ")
