"""Count targets: a noun of a prompt, how many of it there shall be, and where."""

from dataclasses import dataclass

import numpy as np

from numina.errors import TargetError
from numina.places import Place

Span = tuple[int, int]

# Far above what any video can hold; keeps a mistyped number out of every later message.
MAX_COUNT = 1_000_000


@dataclass(frozen=True)
class PlacedCount:
    """A part of a target's count that belongs to a part of the frame.

    Attributes:
        place: Where.
        count: How many.
    """

    place: Place
    count: int


@dataclass(frozen=True)
class CountTarget:
    """One noun of a prompt and how many of it there shall be.

    Attributes:
        noun: Head noun as it stands in the prompt, e.g. ``"balls"``.
        count: How many; 0 asks for none.
        spans: Character offsets ``(start, end)`` of every mention, in order. They cover the noun
            alone, or attributes and noun where ``phrase`` tells two groups of one noun apart. In
            "two red and three blue balls" the red group's span is "red": the noun is the blue's.
        confidence: How sure the reading is, from 0 to 1; 1 where the caller gave the count.
        phrase: ``"red balls"`` where attributes tell two groups of one noun apart, else ``noun``.
        attributes: Character offsets of the attributes before the noun that ``spans`` leave out;
            they say what the instances look like, so that guidance takes their tokens along.
        places: How the count is shared among parts of the frame; empty where the prompt leaves it
            open. An instance that is in none of them is in a wrong place.
    """

    noun: str
    count: int
    spans: tuple[Span, ...]
    confidence: float
    phrase: str
    attributes: tuple[Span, ...] = ()
    places: tuple[PlacedCount, ...] = ()

    def __post_init__(self) -> None:
        if not self.noun or not self.phrase:
            raise TargetError(f"a target needs a noun and a phrase, got {self!r}")
        check_count(self.phrase, self.count)
        flat = [offset for span in self.spans for offset in span]
        if not flat or flat[0] < 0 or any(start >= end for start, end in self.spans):
            raise TargetError(f"spans of {self.phrase!r} must be non-empty, got {self.spans}")
        if flat != sorted(flat):
            raise TargetError(f"spans of {self.phrase!r} must not overlap, got {self.spans}")
        if not 0 <= self.confidence <= 1:
            raise TargetError(f"confidence must be in [0, 1], got {self.confidence}")
        if self.places and sum(part.count for part in self.places) != self.count:
            raise TargetError(f"the places of {self.phrase!r} must add up to {self.count}")
        if len({part.place for part in self.places}) < len(self.places):
            raise TargetError(f"the places of {self.phrase!r} must differ, got {self.places}")

    @property
    def parts(self) -> tuple[tuple[Place, int], ...]:
        """The places and their counts."""
        return tuple((part.place, part.count) for part in self.places)


def check_count(key: str, count: object) -> None:
    """Refuse what is no number of things in a video.

    Raises:
        TargetError: If ``count`` is no whole number from 0 to a million; it names ``key``.
    """
    if isinstance(count, bool) or not isinstance(count, int | np.integer):
        raise TargetError(
            f"the count of {key!r} must be a whole number of 0 or more, got {count!r}"
        )
    if count > MAX_COUNT:
        raise TargetError(f"the count of {key!r} must be at most {MAX_COUNT}")
    if count < 0:
        raise TargetError(f"the count of {key!r} must be 0 or more, got {count}")
