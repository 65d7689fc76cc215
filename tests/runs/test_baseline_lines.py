"""Baselines on a loss plot: none is left out, no names touch, and none squashes the curves."""

import math
from itertools import pairwise

import pytest

from runs.baseline_lines import CURVES_SHARE, FONT_SIZE, NAME_GAP, add_lines, spread, visible_range

HEIGHT = 340
# tiny Shakespeare, character tokens
LADDER = {
    "uniform_nats": 4.174, "ngram_1_nats": 3.347, "ngram_2_nats": 2.486, "ngram_3_nats": 2.049, "ngram_4_nats": 1.774,
    "ngram_5_nats": 1.669, "ngram_6_nats": 1.698, "gzip_nats": 2.15, "xz_nats": 1.74,
}  # fmt: skip


def lay_out(losses, baselines=LADDER, log=False):
    layout: dict = {"margin": {"l": 40, "r": 8}}
    add_lines(layout, baselines, losses, height=HEIGHT, color="grey", log=log)
    return layout


def pixels(layout, losses, log):
    """Where plotly puts the middle of each name, from the top."""
    scale = math.log10 if log else float
    low, high = visible_range([scale(nats) for nats in LADDER.values()], [scale(loss) for loss in losses])
    pad = (high - low) * 0.05
    low, high = low - pad, high + pad
    return [
        HEIGHT * (high - name["y"]) / (high - low) + name["ay"] if name["yref"] == "y"
        else HEIGHT * (1 - name["y"]) - name["yshift"]
        for name in layout["annotations"]
    ]  # fmt: skip


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("losses", [[4.2, 2.0, 1.5], [4.2, 4.1], [0.05, 0.04], [30.0, 1.6]])
def test_all_nine_are_named_beside_the_plot_and_no_names_touch(losses, log):
    layout = lay_out(losses, log=log)
    assert len(layout["annotations"]) == 9
    assert all(name["x"] == 1 and name["xref"] == "paper" for name in layout["annotations"])
    places = pixels(layout, losses, log)
    assert all(after - before >= NAME_GAP - 0.2 for before, after in pairwise(places))
    assert places[0] > -1 and places[-1] < HEIGHT + 1
    assert NAME_GAP > FONT_SIZE


def test_names_say_their_numbers_when_pointed_at():
    assert lay_out([4.2, 1.5])["annotations"][0]["hovertext"] == "uniform: 4.174 nats per token"


def test_near_ones_are_lines_and_far_ones_arrows():
    layout = lay_out([0.5, 0.4, 0.3])
    assert layout["shapes"] == [] and {name["text"][0] for name in layout["annotations"]} == {"↑"}
    layout = lay_out([2.2, 2.0])
    assert [line["y0"] for line in layout["shapes"]] == [2.15, 2.049]
    assert [name["text"][0] for name in layout["annotations"]] == ["↑"] * 3 + ["g", "t"] + ["↓"] * 4
    assert len(lay_out([4.2, 1.5])["shapes"]) == 9


@pytest.mark.parametrize("losses", [[4.2, 2.0], [0.05, 0.04], [30.0, 1.6], [2.0]])
def test_the_curves_keep_their_share_of_the_height(losses):
    low, high = visible_range(list(LADDER.values()), losses)
    assert max(losses) - min(losses) >= CURVES_SHARE * (high - low) - 1e-9
    assert low <= min(losses) and high >= max(losses)


def test_lines_on_a_log_axis_are_in_nats_and_names_in_exponents():
    layout = lay_out([4.2, 1.5], {"xz_nats": 2.0}, log=True)
    assert layout["shapes"][0]["y0"] == 2.0 and layout["annotations"][0]["y"] == pytest.approx(math.log10(2))


def test_a_plot_without_baselines_stays_as_it_is():
    assert lay_out([4.2], {}) == {"margin": {"l": 40, "r": 8}}
    assert lay_out([4.2, None, 3.0], {"uniform_nats": 4.0})["margin"]["r"] > 40
    assert len(lay_out([], LADDER)["shapes"]) == 9  # no curve yet


def test_places_move_as_little_as_they_must():
    assert spread([10, 100, 200], 13, 340) == [10, 100, 200]
    assert spread([100, 100], 10, 340) == [95, 105]
    assert spread([100, 104, 108, 300], 10, 340) == [94, 104, 114, 300]
    assert spread([-50, -40], 10, 340) == [0, 10]
    assert spread([400, 500], 10, 340) == [330, 340]
