"""Axes of a plot: a straight scale between values and pixels, and round numbers along it."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """A straight line from values to pixels.

    Attributes:
        low: The value at ``start``.
        high: The value at ``stop``; above ``low``.
        start: Pixel of ``low``.
        stop: Pixel of ``high``; may be less than ``start``, as it is of an axis that points up.
    """

    low: float
    high: float
    start: float
    stop: float

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError(f"a scale needs low < high, got {self.low} and {self.high}")

    def __call__(self, value: float) -> float:
        """The pixel of a value."""
        share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.stop - self.start)


@dataclass(frozen=True)
class Tick:
    """A mark on an axis: its pixel and what is written there."""

    at: float
    text: str


def round_values(low: float, high: float, most: int = 6) -> tuple[float, ...]:
    """At most ``most`` round numbers, 1, 2 or 5 times a power of ten apart, around a range.

    The first is at or below ``low``, the last at or above ``high``.

    Raises:
        ValueError: If the range is empty, or fewer than three numbers are allowed.
    """
    if not low < high or most < 3:
        raise ValueError(f"need low < high and 3 numbers or more, got {low}, {high}, {most}")
    power = math.floor(math.log10((high - low) / most))
    for step in (factor * 10.0**place for place in (power, power + 1) for factor in (1, 2, 5)):
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        if last - first < most:
            break
    return tuple(round(index * step, 12) for index in range(first, last + 1))
