"""What the figures of a run hold."""

import tomllib
from pathlib import Path

import pytest

from runs.names import COLORS, Label
from ui import charts
from ui.charts import View
from ui.curves import Curves, Ranged

ROOT = Path(__file__).parents[2]
POINTS = ([1, 2, 3], [3.0, 2.5, 2.0])
RANGED = Ranged(POINTS)
CURVES = Curves(POINTS, ([1, 2, 3], [3.0, 2.8, 2.4]), ([0, 3], [3.5, 2.1]), POINTS, RANGED, RANGED)


def names(figure):
    return [line["name"] for line in figure["data"]]


def test_train_is_faint_raw_and_bold_smoothed_and_validation_has_points():
    raw, smoothed, validation = charts.loss_figure(CURVES, "#123456", View())["data"]
    assert raw["opacity"] < 0.5 and raw["line"]["width"] < smoothed["line"]["width"]
    assert smoothed["line"]["color"] == "#123456" and smoothed["y"] == [3.0, 2.8, 2.4]
    assert validation["mode"] == "lines+markers" and validation["x"] == [0, 3]


def test_without_smoothing_there_is_one_train_line():
    bare = Curves(POINTS, None, CURVES.validation, POINTS, RANGED, RANGED)
    assert names(charts.loss_figure(bare, "#123456", View(smoothing=0))) == ["train", "validation"]


@pytest.mark.parametrize("log", [False, True])
def test_each_baseline_is_a_line_at_its_loss_with_its_name(log):
    layout = charts.loss_figure(CURVES, "#123456", View(log=log), {"ngram_2_nats": 2.5})["layout"]
    (line,), (name,) = layout["shapes"], layout["annotations"]
    assert line["y0"] == line["y1"] == 2.5 and name["text"] == "bigram"
    assert name["y"] == pytest.approx(0.39794 if log else 2.5)  # annotations on a log axis are placed by the exponent
    assert layout["yaxis"].get("type") == ("log" if log else None)


def test_the_clip_line_is_there_only_when_gradients_are_clipped():
    assert charts.gradient_figure(CURVES, View(), 1.0)["layout"]["shapes"][0]["y0"] == 1.0
    assert "shapes" not in charts.gradient_figure(CURVES, View(), 0.0)["layout"]


@pytest.mark.parametrize("make", [charts.rate_figure, charts.speed_figure])
def test_every_figure_has_a_title_and_names_its_x(make):
    layout = make(CURVES, View(x="tokens"))["layout"]
    assert layout["title"]["text"] and layout["xaxis"]["title"]["text"] == "tokens seen"


def test_a_restless_curve_is_a_line_over_a_faint_band():
    edges = ([1, 2, 3], [1.0, None, 1.5]), ([1, 2, 3], [4.0, None, 3.0])
    curves = Curves(POINTS, None, POINTS, POINTS, Ranged(POINTS, *edges), RANGED)
    band, mean = charts.gradient_figure(curves, View(), 0.0)["data"]
    assert (band["x"], band["y"]) == ([1, 3, 3, 1], [1.0, 1.5, 3.0, 4.0]) and band["fill"] == "toself"
    assert mean["y"] == POINTS[1] and band["line"]["width"] == 0


def test_many_validation_points_leave_the_train_line_in_sight():
    many = (list(range(100)), [2.0] * 100)
    _, smoothed, validation = charts.loss_figure(
        Curves(POINTS, CURVES.smoothed, many, POINTS, RANGED, RANGED), "#123456", View()
    )["data"]
    assert validation["mode"] == "lines" and validation["line"]["width"] < smoothed["line"]["width"] / 2


def test_plotly_takes_every_figure():
    import plotly.graph_objects as go

    view = View(log=True)
    for figure in (
        charts.loss_figure(CURVES, "#123456", view, {"uniform_nats": 4.0}), charts.rate_figure(CURVES, view),
        charts.gradient_figure(CURVES, view, 1.0), charts.speed_figure(CURVES, view),
    ):  # fmt: skip
        go.Figure(figure)


def test_an_empty_chart_says_when_it_fills():
    nothing = ([], [])
    layout = charts.loss_figure(
        Curves(nothing, nothing, nothing, nothing, Ranged(nothing), Ranged(nothing)), "#123456", View()
    )["layout"]
    assert "first step" in layout["annotations"][0]["text"] and layout["yaxis"]["showticklabels"] is False
    assert charts.loss_figure(CURVES, "#123456", View())["layout"]["annotations"] == []


def test_a_run_has_the_color_of_its_label_in_both_themes():
    for theme, colors in charts.RUN_COLORS.items():
        drawn = [charts.run_color(Label("brave-otter", color=color), theme) for color in range(COLORS)]
        assert drawn == list(colors[:-1])  # the last is a grey


def test_run_colors_are_the_theme_s():
    theme = tomllib.loads((ROOT / ".streamlit/config.toml").read_text(encoding="utf-8"))["theme"]
    for name, colors in charts.RUN_COLORS.items():
        assert list(colors) == theme[name]["chartCategoricalColors"]


def test_the_chart_says_what_it_shows():
    assert charts.describe_loss(CURVES) == "Loss chart. Train loss from 3.00 to 2.40; last validation loss 2.10."
    empty = ([], [])
    assert "empty" in charts.describe_loss(Curves(empty, None, empty, empty, Ranged(empty), Ranged(empty)))
