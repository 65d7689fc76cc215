"""Cutting long texts: nothing is lost, no piece is too long, borders fall where a word ends."""

import random
import time

import pytest

from text.pieces import cut_at_words


@pytest.mark.parametrize("size", [1, 2, 7, 1_500, 10_000])
def test_pieces_are_the_text(size: int) -> None:
    source = random.Random(size)
    text = "".join(source.choices("ab \n\t", k=5_000)) + "x" * 3_000 + " " * 3_000 + "end"
    pieces = list(cut_at_words(text, size))
    assert "".join(pieces) == text
    assert max(map(len, pieces)) <= size


def test_borders_fall_where_a_word_ends() -> None:
    assert list(cut_at_words("one two\nthree  four", 9)) == ["one two\n", "three", "  four"]
    assert list(cut_at_words("aaaaaaa b", 3)) == ["aaa", "aaa", "a b"]
    assert list(cut_at_words("", 3)) == []


def test_a_line_without_places_to_cut_takes_no_time() -> None:
    start = time.process_time()
    assert sum(map(len, cut_at_words("-" * 10_000_000))) == 10_000_000
    assert time.process_time() - start < 5
