"""Parts of Look inside without a server: text from outside in figures, kinds of tokens, what a proof looks like."""

from ui.attention_view import zoomed
from ui.head_grid import describe
from ui.inside_engine import Head, kind_of
from ui.part_grid import name_of, title_of
from ui.plot_text import plain, token_ticks
from ui.proof_engine import Proven
from ui.proof_panel import as_list


def test_a_token_in_a_figure_is_text_and_nothing_else():
    assert plain("<b>&%{x}") == "&lt;b&gt;&amp;%\u200b{x}"
    assert plain("abcdefghijklmnopqrstuvwxyz") == "abcdefghijklm…"
    figure = zoomed([[1.0, 0.0], [0.5, 0.5]], ("<a href=x>", "b"), 0, 0, "light")
    assert "<a" not in str(figure)


def test_long_texts_name_every_second_token():
    names = [str(index) for index in range(96)]
    ticks = token_ticks(names)
    assert ticks["ticktext"] == names[::2] and ticks["tickvals"] == list(range(0, 96, 2))
    assert token_ticks(["a", "b"])["tickangle"] == 0 and token_ticks(["abc"])["tickangle"] == -90


def test_kinds_of_tokens():
    kinds = {"␣the": "begins with a space", "ing": "lower case", "I": "upper case", "42": "digits", "…": "punctuation",
             "␣": "punctuation", "Mix": "other"}  # fmt: skip
    assert {name: kind_of(name) for name in kinds} == kinds


def test_a_head_is_described_by_what_is_known_of_it():
    scores = {"previous_token": 0.5, "first_token": None, "entropy_bits": 1.0, "other": 0.25}
    assert describe(Head(1, 2, "", scores)) == "layer 1 head 2 · previous token 0.50"


def test_parts_have_names_that_lead_back():
    assert (name_of((1, "head", 3)), title_of((1, "head", 3))) == ("1/head/3", "head 3")
    assert (name_of((0, "mlp", None)), title_of((0, "mlp", None))) == ("0/mlp/", "MLP")


def test_a_proof_that_fails_says_so():
    found = Proven((("Cache <b>", True, "ok"), ("Mask", False, "leaks & more")), "the model as it is", 1.0)
    text = as_list(found)
    assert "1 of 2 fail: do not trust this model" in text and text.count("class='fails'") == 1
    assert "&lt;b&gt;" in text and "leaks &amp; more" in text
