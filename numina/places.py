"""Places: parts of the frame that a prompt names, and how many instances there shall be in each."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from numina.errors import TargetError

Shares = tuple[float, float]


@dataclass(frozen=True)
class Place:
    """A part of the frame, in shares of its height and width.

    Attributes:
        phrase: How it is said: ``"on the left"``.
        rows: From the upper border of the frame, 0, to the lower one, 1.
        columns: From the left border, 0, to the right one, 1.
    """

    phrase: str
    rows: Shares = (0.0, 1.0)
    columns: Shares = (0.0, 1.0)

    def __post_init__(self) -> None:
        for name in ("rows", "columns"):
            start, end = getattr(self, name)
            if not 0 <= start < end <= 1:
                raise TargetError(f"{name} must rise within 0..1, got {(start, end)}")

    @property
    def area(self) -> float:
        """Share of the frame, 0 to 1."""
        return (self.rows[1] - self.rows[0]) * (self.columns[1] - self.columns[0])

    def mask(self, rows: int, columns: int) -> NDArray[np.bool_]:
        """The patches whose centre lies in it, ``[Y, X]``."""
        down, across = (np.arange(size) + 0.5 for size in (rows, columns))
        inside = [
            (start * size <= at) & (at < end * size)
            for at, size, (start, end) in (
                (down, rows, self.rows),
                (across, columns, self.columns),
            )
        ]
        return inside[0][:, None] & inside[1]


_FIRST, _MIDDLE, _LAST = (0.0, 0.5), (0.25, 0.75), (0.5, 1.0)
PLACES = {
    "left": Place("on the left", columns=_FIRST),
    "right": Place("on the right", columns=_LAST),
    "top": Place("at the top", rows=_FIRST),
    "bottom": Place("at the bottom", rows=_LAST),
    "middle": Place("in the middle", rows=_MIDDLE, columns=_MIDDLE),
    "upper_left": Place("in the upper left corner", _FIRST, _FIRST),
    "upper_right": Place("in the upper right corner", _FIRST, _LAST),
    "lower_left": Place("in the lower left corner", _LAST, _FIRST),
    "lower_right": Place("in the lower right corner", _LAST, _LAST),
}


@dataclass(frozen=True)
class Placed:
    """How many instances of a noun there shall be in each part of the frame, and nowhere else.

    ``Placed(left=2, right=3)`` are five: two whose centres are in the left half of most frames,
    three in the right. Corners are quarters, and the middle is half as high and as wide as the
    frame. Of two places that overlap, the smaller one has what lies in both.

    Raises:
        TargetError: If no place is named, a count is no whole number of 0 or more, or smaller
            places leave nothing of a larger one.
    """

    left: int | None = None
    right: int | None = None
    top: int | None = None
    bottom: int | None = None
    middle: int | None = None
    upper_left: int | None = None
    upper_right: int | None = None
    lower_left: int | None = None
    lower_right: int | None = None

    def __post_init__(self) -> None:
        if not self.parts:
            raise TargetError("Placed needs a place, such as Placed(left=2, right=3)")
        for place, count in self.parts:
            whole = isinstance(count, int | np.integer) and not isinstance(count, bool)
            if not whole or count < 0:
                raise TargetError(
                    f"the count {place.phrase} must be a whole number of 0 or more, got {count!r}"
                )

        if (covered := covered_place([place for place, _ in self.parts])) is not None:
            raise TargetError(f"{self} leaves nothing {covered.phrase} beside the smaller places")

    def __repr__(self) -> str:
        named = ((each.name, getattr(self, each.name)) for each in fields(self))
        said = ", ".join(f"{name}={count}" for name, count in named if count is not None)
        return f"Placed({said})"

    @classmethod
    def of(cls, parts: Sequence[tuple[Place, int]]) -> "Placed":
        """The same from places of ``PLACES`` and their counts."""
        names = {place: name for name, place in PLACES.items()}
        return cls(**{names[place]: count for place, count in parts})

    @property
    def parts(self) -> tuple[tuple[Place, int], ...]:
        """The places named and their counts."""
        named = ((name, getattr(self, name)) for name in PLACES)
        return tuple((PLACES[name], count) for name, count in named if count is not None)

    @property
    def total(self) -> int:
        """Instances in all."""
        return sum(int(count) for _, count in self.parts)


def own_masks(places: Sequence[Place], rows: int, columns: int) -> tuple[NDArray[np.bool_], ...]:
    """The patches of each place ``[Y, X]``; of two that overlap, the smaller one has both's."""
    masks: dict[int, NDArray[np.bool_]] = {}
    taken = np.zeros((rows, columns), bool)
    for at in sorted(range(len(places)), key=lambda at: places[at].area):
        masks[at] = places[at].mask(rows, columns) & ~taken
        taken = taken | masks[at]
    return tuple(masks[at] for at in range(len(places)))


def covered_place(places: Sequence[Place]) -> Place | None:
    """A place of which smaller ones leave nothing, if there is one: a half and its two quarters."""
    # All borders of the places above lie on quarters of the frame.
    for place, mask in zip(places, own_masks(places, 16, 16), strict=True):
        if not mask.any():
            return place
    return None


def told(parts: Sequence[tuple[Place, int]]) -> str:
    """Counts and places in words: ``"2 on the left and 3 on the right"``."""
    return " and ".join(f"{count} {place.phrase}" for place, count in parts)
