"""Blocks and pieces: nothing is lost, borders stay where they are, the split falls where it is said."""

import random

import pytest

from text import blocks as blocks_module
from text.blocks import Block, collect, cut_into_pieces, take
from text.pieces import cut_at_words


def join(blocks: list[Block]) -> Block:
    whole = Block("")
    for block in blocks:
        whole = whole.join(block)
    return whole


@pytest.fixture(params=[5, 40, 10_000])
def sizes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(blocks_module, "BLOCK_CHARACTERS", request.param)
    monkeypatch.setattr(blocks_module, "PIECE_CHARACTERS", request.param)
    return request.param


@pytest.fixture
def parts() -> list[tuple[str, bool]]:
    source = random.Random(1)
    texts = ["".join(source.choices("ab \n", k=source.randint(1, 60))) for _ in range(50)]
    return [(text, index % 3 == 0) for index, text in enumerate(texts)]


def borders_of(parts: list[tuple[str, bool]]) -> tuple[int, ...]:
    """Where documents begin in the joined text, the first left out."""
    places, position = [], 0
    for text, begins in parts:
        if begins and position:
            places.append(position)
        position += len(text)
    return tuple(places)


def test_collect_keeps_text_and_borders(sizes: int, parts: list[tuple[str, bool]]) -> None:
    collected = list(collect(parts))
    assert join(collected) == Block("".join(text for text, _ in parts), borders_of(parts))
    assert max(len(block.text) for block in collected) < 2 * sizes


def test_take_stops_at_a_character(sizes: int, parts: list[tuple[str, bool]]) -> None:
    whole = join(list(collect(parts)))
    for characters in (1, 4, 5, 6, 200, whole.borders[3], len(whole.text), 10**9):
        taken = join(list(take(collect(parts), characters)))
        assert taken.text == whole.text[:characters]
        assert taken.borders == tuple(border for border in whole.borders if border < characters)


def test_take_does_not_read_on() -> None:
    def endless():
        while True:
            yield Block("x" * 10)

    assert sum(len(block.text) for block in take(endless(), 35)) == 35


def test_pieces_are_both_splits(sizes: int, parts: list[tuple[str, bool]]) -> None:
    whole = join(list(collect(parts)))
    for border in (0, 1, 40, 200, whole.borders[0], whole.borders[5], len(whole.text)):
        pieces = list(cut_into_pieces(collect(parts), border))
        train = join([piece for split, piece in pieces if split == "train"])
        val = join([piece for split, piece in pieces if split == "val"])
        assert train.text == whole.text[:border]
        assert val.text == whole.text[border:]
        # A border between the splits ends the training split.
        assert train.borders == tuple(place for place in whole.borders if place <= border)
        assert tuple(border + place for place in val.borders) == tuple(p for p in whole.borders if p > border)
        assert max(len(piece.text) for _, piece in pieces) <= sizes


@pytest.mark.parametrize("sizes", [40, 10_000], indirect=True)
def test_pieces_are_cut_as_the_whole_text_would_be(sizes: int, parts: list[tuple[str, bool]]) -> None:
    text = "".join(text for text, _ in parts)
    pieces = [piece.text for _, piece in cut_into_pieces(collect(parts), len(text))]
    assert pieces == list(cut_at_words(text, sizes))
