"""Outlines of the instances of a layout, as SVG paths in units of patches."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from numina.layout import LayoutEdit, RegionClass


@dataclass(frozen=True)
class Outline:
    """One instance in one frame.

    Attributes:
        noun: Index of its noun.
        state: What becomes of it.
        path: SVG path data, in units of patches.
        x: Column of its middle.
        y: Row of its middle.
        side: Side of a square of its area, in patches.
    """

    noun: int
    state: RegionClass
    path: str
    x: float
    y: float
    side: float


def outlines_before(edit: LayoutEdit, frame: int) -> tuple[Outline, ...]:
    """The instances as identified; those that shall go are ``REMOVED``."""
    seen, gone = edit.seen, _gone(edit)
    return tuple(
        _outline(mask, seen.nouns[label - 1], state)
        for label, mask in _instances(seen.labels[frame])
        for state in [RegionClass.REMOVED if label in gone else RegionClass.KEPT]
    )


def outlines_after(edit: LayoutEdit, frame: int) -> tuple[Outline, ...]:
    """The instances to enforce; the new ones are ``ADDED``, the ones that go ``REMOVED``."""
    new, seen, gone = set(edit.added), edit.seen, _gone(edit)
    removed = tuple(
        _outline(mask, seen.nouns[label - 1], RegionClass.REMOVED)
        for label, mask in _instances(seen.labels[frame])
        if label in gone
    )
    return removed + tuple(
        _outline(mask, edit.after.nouns[label - 1], state)
        for label, mask in _instances(edit.after.labels[frame])
        for state in [RegionClass.ADDED if label in new else RegionClass.KEPT]
    )


def _gone(edit: LayoutEdit) -> set[int]:
    """Labels of ``edit.seen`` that shall not be there."""
    brief = range(len(edit.before.nouns) + 1, len(edit.seen.nouns) + 1)
    return {*edit.removed, *brief}


def _instances(labels: NDArray[np.int16]) -> list[tuple[int, NDArray[np.bool_]]]:
    return [(int(label), labels == label) for label in np.unique(labels) if label > 0]


def _outline(mask: NDArray[np.bool_], noun: int, state: RegionClass) -> Outline:
    rows, columns = np.nonzero(mask)
    return Outline(
        noun=noun,
        state=state,
        path=trace(mask),
        x=round(float(columns.mean()) + 0.5, 2),
        y=round(float(rows.mean()) + 0.5, 2),
        side=round(float(len(rows) ** 0.5), 2),
    )


def trace(mask: NDArray[np.bool_]) -> str:
    """The border of a mask ``[Y, X]`` as closed SVG subpaths along the edges of its patches.

    Every border edge is walked once with the mask on its right. Where four edges meet, at two
    patches that touch by a corner only, the walk may go either way: the painted area is the same.
    """
    ends = _border_edges(mask)
    subpaths = []
    while ends:
        start = min(ends)
        corners, here, heading = [start], start, (0, 0)
        while True:
            there = ends[here].pop()
            if not ends[here]:
                del ends[here]
            turn = (there[0] - here[0], there[1] - here[1])
            if turn == heading:
                corners[-1] = there
            else:
                corners.append(there)
            here, heading = there, turn
            if here == start:
                break
        points = " L".join(f"{x} {y}" for x, y in corners[:-1])
        subpaths.append(f"M{points} Z")
    return " ".join(subpaths)


def _border_edges(
    mask: NDArray[np.bool_],
) -> dict[tuple[int, int], list[tuple[int, int]]]:
    """From each corner ``(x, y)`` of the border to the corners that its edges lead to."""
    ends: dict[tuple[int, int], list[tuple[int, int]]] = {}
    padded = np.pad(mask, 1)
    for row, column in zip(*np.nonzero(mask), strict=True):
        x, y = int(column), int(row)
        if not padded[y, x + 1]:
            ends.setdefault((x, y), []).append((x + 1, y))
        if not padded[y + 1, x + 2]:
            ends.setdefault((x + 1, y), []).append((x + 1, y + 1))
        if not padded[y + 2, x + 1]:
            ends.setdefault((x + 1, y + 1), []).append((x, y + 1))
        if not padded[y + 1, x]:
            ends.setdefault((x, y + 1), []).append((x, y))
    return ends
