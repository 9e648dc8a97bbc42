"""Figures as text: per cent, points and intervals, so that columns of them align."""

from numina.evaluation.report.standings import Estimate

_MINUS = "\N{MINUS SIGN}"
_NARROW = "\N{NARROW NO-BREAK SPACE}"


def percent(share: float, digits: int = 1) -> str:
    """A share as "72.6 %"."""
    return f"{100 * share:.{digits}f}{_NARROW}%"


def points(share: float) -> str:
    """The size of a difference of shares as "48.2 points"."""
    number = f"{100 * abs(share):.1f}"
    return f"{number} point{'' if number == '1.0' else 's'}"


def signed(share: float) -> str:
    """A difference of shares in points, as "+48.2"; a zero has no sign."""
    number = f"{100 * share:+.1f}"
    return number[1:] if number[1:] == "0.0" else number.replace("-", _MINUS)


def interval(estimate: Estimate, *, of_gain: bool = False) -> str:
    """The interval of an estimate as "68.1 to 76.8" per cent, that of a gain in signed points."""
    low, high = (
        signed(bound) if of_gain else f"{100 * bound:.1f}"
        for bound in (estimate.low, estimate.high)
    )
    return f"{low} to {high}"
