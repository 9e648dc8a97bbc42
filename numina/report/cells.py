"""Counts over the frames of a video, one cell for each frame or run of equal ones."""

from dataclasses import dataclass
from typing import Literal

from numina.report.story import Tally

Status = Literal["right", "wrong", "planned", "unknown"]

# Longer videos show runs of equal counts instead of one cell per frame.
_MAX_CELLS = 16


@dataclass(frozen=True)
class Cell:
    """Consecutive frames that hold the same count."""

    count: int
    frames: int
    status: Status


def count_cells(tally: Tally, asked: int) -> tuple[Cell, ...]:
    """The counts of one noun over the frames of one video, held against the count asked for."""
    cells: list[Cell] = []
    for count in tally.counts:
        if cells and cells[-1].count == count and len(tally.counts) > _MAX_CELLS:
            cells[-1] = Cell(count, cells[-1].frames + 1, cells[-1].status)
        else:
            cells.append(Cell(count, 1, status_of(tally, count == asked)))
    return tuple(cells)


def status_of(tally: Tally, right: bool) -> Status:
    """What may be said of a count: one that was only planned is neither right nor wrong."""
    if tally.source == "plan":
        return "planned"
    return "right" if right else "wrong"
