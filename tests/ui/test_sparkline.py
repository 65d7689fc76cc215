"""The small curve fills its box, whatever it shows."""

from ui.sparkline import EDGE, HEIGHT, WIDTH, points


def test_the_curve_goes_from_the_highest_to_the_lowest_value():
    corners = [tuple(map(float, corner.split(","))) for corner in points([4.0, 3.0, 2.0]).split()]
    assert corners == [(0, EDGE), (WIDTH / 2, HEIGHT / 2), (WIDTH, HEIGHT - EDGE)]


def test_a_level_curve_and_too_few_points():
    assert points([2.0, 2.0]) == f"0.0,{HEIGHT - EDGE}.0 {WIDTH}.0,{HEIGHT - EDGE}.0"
    assert points([1.0]) == points([]) == ""
