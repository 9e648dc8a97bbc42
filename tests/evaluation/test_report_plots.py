"""Plots: round axes, names that never lie over another, and points where their figures are."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numina.evaluation.report.accuracy_chart import accuracy_chart
from numina.evaluation.report.axes import Scale, round_values
from numina.evaluation.report.cost_chart import cost_chart
from numina.evaluation.report.highlights import highlights
from numina.evaluation.report.labels import Box, Spot, place_beside, spread_apart
from numina.evaluation.report.standings import standings
from tests.evaluation.made_results import COUNTS, findings_of, rows

SHARE = st.floats(0, 1)


@pytest.fixture(scope="module")
def standing(tmp_path_factory):
    return standings(findings_of(tmp_path_factory.mktemp("results"), rows()))


@pytest.mark.parametrize(
    ("low", "high", "values"),
    [
        (0.15, 0.84, (0, 0.2, 0.4, 0.6, 0.8, 1)),
        (1.0, 1.56, (1, 1.2, 1.4, 1.6)),
        (0.7, 1.2, (0.7, 0.8, 0.9, 1.0, 1.1, 1.2)),
        (0, 3, (0, 1, 2, 3)),
    ],
)
def test_axes_have_round_numbers_around_the_range(low, high, values):
    assert round_values(low, high) == values


@given(low=st.floats(-1e3, 1e3), width=st.floats(1e-3, 1e3), most=st.integers(3, 9))
def test_no_axis_has_too_many_numbers_or_cuts_its_range(low, width, most):
    values = round_values(low, low + width, most)
    assert 2 <= len(values) <= most
    assert values[0] <= low + 1e-6 * width
    assert values[-1] >= low + width * (1 - 1e-6)


def test_an_axis_without_a_range_is_refused():
    with pytest.raises(ValueError, match="low < high"):
        round_values(1, 1)
    with pytest.raises(ValueError, match="low < high"):
        Scale(1, 1, 0, 10)


def test_a_scale_runs_either_way():
    up = Scale(0, 1, 300, 100)
    assert [up(0), up(0.25), up(1)] == [300, 250, 100]


def test_names_are_moved_no_further_than_they_must():
    assert spread_apart([10, 50, 52], 10, 0, 100) == [10, 46, 56]
    assert spread_apart([99, 98], 10, 0, 100) == [100, 90]
    assert spread_apart([], 10, 0, 100) == []


@given(st.lists(st.floats(0, 300), min_size=1, max_size=12))
def test_names_keep_their_order_their_distance_and_the_plot(heights):
    placed = spread_apart(heights, 15, 0, 300)
    assert all(-1e-6 <= height <= 300 + 1e-6 for height in placed)
    ordered = sorted(placed)
    assert all(after - before >= 15 - 1e-6 for before, after in pairwise(ordered))
    for one, other in zip(heights, placed, strict=True):
        for two, another in zip(heights, placed, strict=True):
            assert (one < two) <= (other < another)


@settings(deadline=None)
@given(st.lists(st.tuples(SHARE, SHARE), min_size=1, max_size=9))
@pytest.mark.slow
def test_names_beside_points_cover_neither_each_other_nor_an_interval(places):
    area = Box(0, 0, 900, 400)
    points = [(100 + 600 * x, 40 + 320 * y) for x, y in places]
    spots = [
        Spot(f"method-{index}", (x, y), Box(x - 5, y - 12, x + 5, y + 12))
        for index, (x, y) in enumerate(points)
    ]
    labels = place_beside(spots, area)
    assert [label.text for label in labels] == [spot.name for spot in spots]
    for index, label in enumerate(labels):
        assert label.box.is_within(area)
        for other in [*(spot.mark for spot in spots), *(each.box for each in labels[:index])]:
            assert label.box.overlap(other) == 0


def test_a_name_does_not_stand_behind_the_mark_of_another():
    area = Box(0, 0, 300, 200)
    spots = [
        Spot(name, (x, 100.0), Box(x - 5, 80, x + 5, 120))
        for name, x in (("left", 140.0), ("right", 153.0))
    ]
    left, right = place_beside(spots, area)
    assert left.box.right < 140
    assert right.box.left > 153


def test_lines_end_at_their_figures_and_carry_their_names(standing):
    chart = accuracy_chart(standing, (2, 3, 4), dict(highlights(standing)), 800, 400)
    line = {each.name: each for each in chart.lines}["plain"]
    # Of the twos one is right, of the threes one, of the fours none.
    middle = (chart.plot.top + chart.plot.bottom) / 2
    assert [y for _, y in line.points] == [middle, middle, chart.plot.bottom]
    assert line.shares[2] == "asked for 4: 0.0\N{NARROW NO-BREAK SPACE}%"
    assert line.label.text == "plain"
    assert all(each.label.box.right <= chart.width for each in chart.lines)
    assert [line.name for line in chart.lines][:3] == ["oracle", "misplaced", "plain"]
    assert chart.lines[-1].name == "robust"


def test_points_stand_at_their_cost_and_accuracy(standing):
    chart = cost_chart(standing, dict(highlights(standing)), 800, 400)
    at = {point.name: point for point in chart.points}
    assert at["robust"].x > at["paper"].x > max(at["plain"].x, at["oracle"].x)
    assert at["oracle"].y < at["robust"].y < at["plain"].y
    assert all(point.high <= point.y <= point.low for point in chart.points)
    # Methods of one cost do not hide each other.
    equal = sorted(at[name].x for name in ("plain", "one-pass", "oracle", "misplaced"))
    assert min(b - a for a, b in pairwise(equal)) > 10


def test_controls_are_grey_and_those_that_lead_or_are_expected_are_not(standing):
    styles = highlights(standing)
    assert styles == {
        "plain": "s0",
        "robust": "s1",
        "one-pass": "s2",
        "paper": "s3",
        "oracle": "grey control",
        "misplaced": "grey control",
    }


def test_colours_are_few(tmp_path):
    many = {f"m{index}": COUNTS["robust"] for index in range(7)}
    findings = findings_of(tmp_path, rows({**COUNTS, **many}))
    styles = list(highlights(standings(findings)).values())
    assert styles.count("grey") == 6
    assert len({style for style in styles if style.startswith("s")}) == 5


def test_methods_that_do_not_differ_have_axes_too(tmp_path):
    alike = {"plain": (3, 2, 4, 3, 2, 4), "one-pass": (3, 2, 4, 3, 2, 4)}
    equal = standings(findings_of(tmp_path, rows(alike)))
    chart = cost_chart(equal, highlights(equal), 800, 400)
    assert [tick.text[:3] for tick in chart.shares][-1] == "100"
    assert {point.y for point in chart.points} == {chart.plot.top}
