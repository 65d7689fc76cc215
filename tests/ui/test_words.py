"""Numbers and names as a person reads them."""

import math

import pytest

from ui.words import count, duration, file_size, literal, number, without_local_links


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1.90612, "1.906"), (0.000312, "0.0003120"), (24_312.4, "24,310"), (0, "0"), (None, "–"),
        (math.nan, "not a number"), (math.inf, "infinite"), (3e-7, "3e-07"),
    ],
)  # fmt: skip
def test_a_number_has_four_significant_digits(value, shown):
    assert number(value) == shown


def test_fewer_digits_round_large_numbers():
    assert number(23_147.0, 3) == "23,100"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (96, "96"),
        (9_999, "9,999"),
        (412_345, "412 k"),
        (999_900, "1 M"),
        (3.21e6, "3.21 M"),
        (7e9, "7 B"),
        (1.8e12, "1,800 B"),
    ],
)
def test_counts(value, shown):
    assert count(value) == shown


def test_file_sizes():
    assert [file_size(value) for value in (812, 1.1e6, 2e9)] == ["812 B", "1.1 MB", "2 GB"]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.4, "0 s"), (41.2, "41 s"), (59.6, "1 min"), (100, "1 min 40 s"),
        (2_097, "35 min"), (3_590, "1 h"), (3_600, "1 h"), (7_500, "2 h 5 min"),
        (86_400, "1 d"), (180_000, "2 d 2 h"),
    ],
)  # fmt: skip
def test_durations(seconds, shown):
    assert duration(seconds) == shown


def test_a_name_cannot_become_markdown():
    shown = literal("**b** :red[x] $a$ <i> https://a.b www.c.d :material/home: a@b\nline")
    assert "\\*\\*b" in shown and "\\$a\\$" in shown and "\\<i\\>" in shown and "\n" not in shown
    for alive in (":red", "://", "www.", ":material", "a@b"):
        assert alive not in shown.replace("\\", "")


def test_links_into_the_repository_become_names_and_links_to_the_web_stay():
    text = "Read [the docs](docs/architecture.md) or [the paper](https://arxiv.org/abs/1706.03762)."
    assert without_local_links(text) == "Read the docs or [the paper](https://arxiv.org/abs/1706.03762)."
