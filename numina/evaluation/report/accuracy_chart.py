"""The plot of accuracy by the count asked for: one line for each method, named at its end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from numina.evaluation.report.axes import Scale, Tick
from numina.evaluation.report.figures import percent
from numina.evaluation.report.highlights import LAYERS
from numina.evaluation.report.labels import LINE, Box, Label, spread_apart, text_width
from numina.evaluation.report.standings import Standing

_LEFT, _TOP, _BOTTOM = 46, 14, 50
_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Line:
    """One method.

    Attributes:
        name: The method.
        style: Its class.
        points: Pixels, one for each count.
        shares: What they stand for, in words.
        label: Its name, at the end.
    """

    name: str
    style: str
    points: tuple[tuple[float, float], ...]
    shares: tuple[str, ...]
    label: Label

    @property
    def path(self) -> str:
        """The line as an SVG path."""
        return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in self.points)


@dataclass(frozen=True)
class AccuracyChart:
    """The plot in pixels; what stands out is drawn last, over all else."""

    width: int
    height: int
    plot: Box
    counts: tuple[Tick, ...]
    shares: tuple[Tick, ...]
    lines: tuple[Line, ...]


def accuracy_chart(
    standing: Sequence[Standing],
    counts: Sequence[int],
    styles: Mapping[str, str],
    width: int,
    height: int,
) -> AccuracyChart:
    """Draw the lines.

    Args:
        standing: Figures of the methods.
        counts: What is asked for, in order.
        styles: Style class of each method.
        width: Pixels.
        height: Pixels.
    """
    room = max(text_width(each.name) for each in standing) + 24
    plot = Box(_LEFT, _TOP, width - room, height - _BOTTOM)
    across = _across(counts, plot)
    up = Scale(0, 1, plot.bottom, plot.top)
    # Names are sorted as the ends of their lines are, so that their leaders do not cross.
    ends = [up(each.by_count[counts[-1]]) for each in standing]
    heights = spread_apart(ends, LINE, plot.top, height - LINE)
    lines = [
        Line(
            each.name,
            styles[each.name],
            tuple((across[count], up(each.by_count[count])) for count in counts),
            tuple(f"asked for {count}: {percent(each.by_count[count])}" for count in counts),
            _at_the_end(each.name, (plot.right, end), middle),
        )
        for each, end, middle in zip(standing, ends, heights, strict=True)
    ]
    return AccuracyChart(
        width,
        height,
        plot,
        counts=tuple(Tick(across[count], str(count)) for count in counts),
        shares=tuple(Tick(up(share), percent(share, 0)) for share in _SHARES),
        lines=tuple(sorted(lines, key=lambda line: LAYERS.index(line.style))),
    )


def _across(counts: Sequence[int], plot: Box) -> dict[int, float]:
    """Where each count stands: evenly, whatever lies between them; the last at the right edge."""
    if len(counts) == 1:
        return {counts[0]: plot.right}
    scale = Scale(0, len(counts) - 1, plot.left + 8, plot.right)
    return {count: scale(place) for place, count in enumerate(counts)}


def _at_the_end(name: str, end: tuple[float, float], middle: float) -> Label:
    left = end[0] + 16
    box = Box(left, middle - LINE / 2, left + text_width(name), middle + LINE / 2)
    return Label(name, box, end)
