"""The plot of cost against accuracy: one point for each method, with its interval and its name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from numina.evaluation.report.axes import Scale, Tick, round_values
from numina.evaluation.report.figures import percent
from numina.evaluation.report.highlights import LAYERS
from numina.evaluation.report.labels import Box, Label, Spot, place_beside
from numina.evaluation.report.standings import Standing

_LEFT, _TOP, _BOTTOM = 46, 14, 50
# Between the edges of the plot and its first and last round number.
_INSET = 48
# Methods of equal cost stand side by side, this far apart.
_APART = 13.0
_REACH = 5.0


@dataclass(frozen=True)
class Point:
    """One method: where it is, where its interval begins and ends, and its name."""

    name: str
    style: str
    x: float
    y: float
    low: float
    high: float
    words: str
    label: Label


@dataclass(frozen=True)
class CostChart:
    """The plot in pixels; what stands out is drawn last, over all else."""

    width: int
    height: int
    plot: Box
    costs: tuple[Tick, ...]
    shares: tuple[Tick, ...]
    points: tuple[Point, ...]


def cost_chart(
    standing: Sequence[Standing], styles: Mapping[str, str], width: int, height: int
) -> CostChart:
    """Draw the points.

    Args:
        standing: Figures of the methods.
        styles: Style class of each method.
        width: Pixels.
        height: Pixels.
    """
    plot = Box(_LEFT, _TOP, width - 8, height - _BOTTOM)
    shares = _share_values(standing)
    up = Scale(shares[0], shares[-1], plot.bottom, plot.top)
    costs = _cost_values(standing)
    digits = 1 if all(round(cost, 1) == cost for cost in costs) else 2
    across = Scale(costs[0], costs[-1], plot.left + _INSET, plot.right - _INSET - width / 12)
    xs = _side_by_side([(across(each.forwards), each.accuracy.value) for each in standing])
    spots = {
        each.name: Spot(
            each.name,
            (x, up(each.accuracy.value)),
            Box(x - _REACH, up(each.accuracy.high), x + _REACH, up(each.accuracy.low)),
        )
        for each, x in zip(standing, xs, strict=True)
    }
    behind = sorted(standing, key=lambda each: LAYERS.index(styles[each.name]))
    in_turn = [spots[each.name] for each in reversed(behind)]
    labels = {label.text: label for label in place_beside(in_turn, plot)}
    return CostChart(
        width,
        height,
        plot,
        costs=tuple(Tick(across(cost), f"{cost:.{digits}f} ×") for cost in costs),
        shares=tuple(Tick(up(share), percent(share, 0)) for share in shares),
        points=tuple(
            Point(
                each.name,
                styles[each.name],
                *spots[each.name].anchor,
                up(each.accuracy.low),
                up(each.accuracy.high),
                f"{each.forwards:.2f} × the forwards of plain, {percent(each.accuracy.value)}",
                labels[each.name],
            )
            for each in behind
        ),
    )


def _share_values(standing: Sequence[Standing]) -> tuple[float, ...]:
    """Round numbers along the axis of accuracy."""
    low = min(each.accuracy.low for each in standing)
    high = max(each.accuracy.high for each in standing)
    if high - low < 0.1:
        low, high = max(0.0, low - 0.1), min(1.0, high + 0.1)
    return round_values(low, high)


def _cost_values(standing: Sequence[Standing]) -> tuple[float, ...]:
    """Round numbers along the axis of costs."""
    low, high = min(each.forwards for each in standing), max(each.forwards for each in standing)
    if high - low < 0.1:
        low, high = max(0.0, low - 0.25), high + 0.25
    return round_values(low, high, 5)


def _side_by_side(points: Sequence[tuple[float, float]]) -> list[float]:
    """Pixels across, of which those too near to another are spread in the order of accuracy."""
    order = sorted(range(len(points)), key=lambda index: points[index][0])
    groups: list[list[int]] = []
    for index in order:
        if groups and points[index][0] - points[groups[-1][-1]][0] < _APART:
            groups[-1].append(index)
        else:
            groups.append([index])
    xs = [0.0] * len(points)
    for group in groups:
        centre = sum(points[index][0] for index in group) / len(group)
        for place, index in enumerate(sorted(group, key=lambda index: points[index][1])):
            xs[index] = centre + (place - (len(group) - 1) / 2) * _APART
    return xs
