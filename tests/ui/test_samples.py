"""Which of many samples are drawn."""

import pytest

from ui.samples import NEWEST, OLDER, choose


@pytest.mark.parametrize("total", [0, 1, NEWEST, NEWEST + OLDER])
def test_few_are_all_drawn_newest_first(total):
    assert choose(total) == list(range(total))[::-1]


@pytest.mark.parametrize("total", [NEWEST + OLDER + 1, 100, 1_001])
def test_many_are_thinned_back_to_the_first(total):
    chosen = choose(total)
    assert len(chosen) <= NEWEST + OLDER and chosen == sorted(set(chosen), reverse=True)
    assert chosen[:NEWEST] == list(range(total - 1, total - 1 - NEWEST, -1)) and chosen[-1] == 0
