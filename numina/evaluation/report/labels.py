"""Names beside what they name: placed so that none lies over another."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

LINE = 15.0
# Of the widest common system fonts; a narrower one leaves a little air.
_LETTER = 7.1
_AWAY = 9.0
# Steps away from a point and up or down from it, the nearest first.
_STEPS = sorted(
    ((away, shift) for away in range(8) for shift in range(-10, 11)),
    key=lambda step: (step[0] + abs(step[1]), abs(step[1])),
)


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels; y points down."""

    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: "Box") -> float:
        """Area that both cover."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(0.0, width) * max(0.0, height)

    def is_within(self, other: "Box") -> bool:
        """Whether no part of it is outside of another."""
        return (
            self.left >= other.left
            and self.right <= other.right
            and self.top >= other.top
            and self.bottom <= other.bottom
        )


@dataclass(frozen=True)
class Spot:
    """What is to be named: its name, its point, and all that is drawn of it."""

    name: str
    anchor: tuple[float, float]
    mark: Box


@dataclass(frozen=True)
class Label:
    """A name and where it goes.

    Attributes:
        text: The name.
        box: Where it is; the text starts at the left and stands in the middle of the height.
        anchor: The point that it names.
    """

    text: str
    box: Box
    anchor: tuple[float, float]

    @property
    def middle(self) -> float:
        """Height of its middle."""
        return (self.box.top + self.box.bottom) / 2

    @property
    def leader(self) -> tuple[float, float] | None:
        """Where a line from the anchor to the name ends; None where it stands right beside it."""
        x, y = self.anchor
        end = self.box.left - 2 if self.box.left > x else self.box.right + 2
        beside = abs(self.middle - y) < LINE / 2 and abs(end - x) < 1.7 * _AWAY
        return None if beside else (end, self.middle)


def text_width(text: str) -> float:
    """Pixels that a name takes at most, in the size of the labels."""
    return len(text) * _LETTER


def spread_apart(heights: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move heights as little as their order allows until neighbours are ``gap`` apart.

    Args:
        heights: In any order; the results come in the same.
        gap: Distance of neighbours at least, or an equal share of the range if there is no room.
        low: The lowest result.
        high: The highest.
    """
    order = sorted(range(len(heights)), key=lambda index: heights[index])
    gap = min(gap, (high - low) / max(1, len(heights) - 1))
    # Runs of names that touch are moved as one, to the mean of where their names want to be.
    runs: list[tuple[float, int]] = []
    for place, index in enumerate(order):
        run = (heights[index] - place * gap, 1)
        while runs and runs[-1][0] >= run[0]:
            start, number = runs.pop()
            total = number + run[1]
            run = ((start * number + run[0] * run[1]) / total, total)
        runs.append(run)
    starts = [start for start, number in runs for _ in range(number)]
    most = high - (len(heights) - 1) * gap
    placed = {
        index: min(max(starts[place], low), most) + place * gap for place, index in enumerate(order)
    }
    return [placed[index] for index in range(len(heights))]


def place_beside(spots: Sequence[Spot], area: Box) -> list[Label]:
    """Put each name where it covers no mark and no other name, and if it can, nor the way to it.

    Args:
        spots: What is named; the first choose first.
        area: Where names may be. Where there is no free place in it, the least covered is taken.
    """
    labels: list[Label] = []
    for spot in spots:
        others = [each.mark for each in spots if each is not spot]
        taken = [*others, *(label.box for label in labels)]

        def covered(
            box: Box, spot: Spot = spot, taken: Sequence[Box] = taken
        ) -> tuple[float, float]:
            way = _way(spot.anchor, box)
            name = box.overlap(spot.mark) + sum(box.overlap(each) for each in taken)
            return name, sum(way.overlap(each) for each in taken)

        places = list(_places(spot.name, spot.anchor))
        inside = [box for box in places if box.is_within(area)]
        labels.append(Label(spot.name, min(inside or places, key=covered), spot.anchor))
    return labels


def _way(anchor: tuple[float, float], box: Box) -> Box:
    """What a line from a point to the nearer side of a name takes."""
    (x, y), middle = anchor, (box.top + box.bottom) / 2
    side = box.left if box.left > x else box.right
    return Box(min(x, side), min(y, middle) - 1, max(x, side), max(y, middle) + 1)


def _places(text: str, anchor: tuple[float, float]) -> Iterator[Box]:
    """Boxes around a point, the nearest first, and of those the right one before the left."""
    (x, y), width = anchor, text_width(text)
    for away, shift in _STEPS:
        gap, top = _AWAY * (1 + away), y + shift * LINE / 2 - LINE / 2
        yield Box(x + gap, top, x + gap + width, top + LINE)
        yield Box(x - gap - width, top, x - gap, top + LINE)
