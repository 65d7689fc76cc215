"""What lies on the desk: how full the window is, where a text can be cut, what the settings say."""

import random

import pytest

from components.model import build_model
from config.presets import load_preset
from generation.samplers import build_samplers
from generation.window import Window
from ui.sampler_settings import SamplerSettings, describe, stop_strings
from ui.sheet import read_cut, tokens_in_window
from ui.words import share


@pytest.mark.parametrize("n_ctx", [1, 2, 7, 8])
@pytest.mark.parametrize("n_begun", [1, 5, 8, 30])
def test_the_window_is_as_full_as_that_of_the_generation(n_ctx, n_begun):
    config = load_preset("llama", "tiny").replace(d_model=8, n_layers=1, n_heads=1, d_mlp=8, n_ctx=n_ctx, d_vocab=5)
    window = Window(build_model(config, seed=0).eval(), [[1] * n_begun], None, "reencode", False)
    for n_new in range(30):
        window.next_logits()
        assert tokens_in_window(n_begun, n_new, n_ctx) == len(window.rows[0])
        window.append([1])


def test_the_stages_are_named_as_the_chain_names_them():
    noise = random.Random(0)
    ranges = {"temperature": (0.5, 1, 1.3), "top_k": (0, 5), "top_p": (0.9, 1.0), "min_p": (0.0, 0.05),
              "typical": (1.0, 0.9), "repetition_penalty": (1.0, 1.2), "frequency_penalty": (0.0, 0.3),
              "presence_penalty": (0.0, 0.25), "no_repeat_ngram_size": (0, 3),
              "greedy": (False, False, True)}  # fmt: skip
    for _ in range(300):
        values = {name: noise.choice(choices) for name, choices in ranges.items()}
        assert describe(SamplerSettings(**values)) == str(build_samplers(**values))


def test_stop_strings_are_lines_with_escapes():
    assert stop_strings("") == () and stop_strings("\n\n") == ()
    assert stop_strings("END\nEND\n\\n\\n\n a b\\t\n\\\\n") == ("END", "\n\n", " a b\t", "\\n")


def test_only_whole_numbers_are_a_place():
    assert read_cut({"row": 0, "at": 3, "choice": -1}) is not None
    assert all(read_cut(said) is None for said in (None, 3, [], {"row": 0.0, "at": 1, "choice": 1}, {"row": 1}))


def test_shares_are_percent_with_one_decimal():
    assert [share(p) for p in (0, 1e-9, 0.0004, 0.0005, 0.264, 1)] == ["–", "< 0.1 %", "< 0.1 %", "0.1 %", "26.4 %",
                                                                       "100.0 %"]  # fmt: skip
