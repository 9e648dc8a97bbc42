"""Whether the instances of a layout are where those of the true one are."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from numina.layout import Layout

# Overlap of two instances, as a share of what either covers, from which they are the same wherever
# their centres are: a ring's lies outside of it.
SAME = 0.5


@dataclass(frozen=True)
class Matches:
    """Instances of one noun, frame by frame.

    Attributes:
        found: How many were found, summed over the frames.
        true: How many there are.
        matched: How many of them are the same.
    """

    found: int
    true: int
    matched: int

    @property
    def f1(self) -> float:
        """``2 matched / (found + true)``; 1 where there is nothing and nothing was found."""
        both = self.found + self.true
        return 2 * self.matched / both if both else 1.0


def matched_instances(found: Layout, true: Layout, noun: int) -> Matches:
    """Match the instances of a noun one to one, in every frame alone.

    Two are the same if the centre of the found one lies in the true one, or if they overlap by
    ``SAME``. Frames are judged alone, so that layouts that are linked over them and those that
    are not have one measure.

    Args:
        found: A layout ``[F, Y, X]``.
        true: The true one, of the same shape.
        noun: Index of the noun in both.
    """
    return Matches(
        found=int(found.count_per_frame(noun).sum()),
        true=int(true.count_per_frame(noun).sum()),
        matched=sum(map(len, same_instances(found, true, noun))),
    )


def same_instances(found: Layout, true: Layout, noun: int) -> list[dict[int, int]]:
    """For each frame, which instances of a noun are the same, as ``matched_instances`` has it.

    Args:
        found: A layout ``[F, Y, X]``.
        true: The true one, of the same shape.
        noun: Index of the noun in both.

    Returns:
        The label in ``true`` of each label in ``found`` that is there too.
    """
    return [
        _same(*_masks(ours, found, noun), *_masks(theirs, true, noun))
        for ours, theirs in zip(found.labels, true.labels, strict=True)
    ]


def _masks(
    frame: NDArray[np.int16], layout: Layout, noun: int
) -> tuple[list[int], NDArray[np.bool_]]:
    """Labels of the instances seen in a frame, and where they are, ``[K, Y, X]``."""
    labels = [label for label in layout.instances(noun) if (frame == label).any()]
    return labels, np.array(labels, np.int16)[:, None, None] == frame


def _same(
    ours: list[int], found: NDArray[np.bool_], theirs: list[int], true: NDArray[np.bool_]
) -> dict[int, int]:
    if not ours or not theirs:
        return {}
    both = np.einsum("iyx,jyx->ij", found.astype(np.int64), true.astype(np.int64))
    either = found.sum((1, 2))[:, None] + true.sum((1, 2)) - both
    centres = [np.rint(np.argwhere(mask).mean(axis=0)).astype(np.int64) for mask in found]
    inside = np.array([true[:, row, column] for row, column in centres])
    same = inside | (both >= SAME * either)
    pairs = zip(*linear_sum_assignment(same, maximize=True), strict=True)
    return {ours[row]: theirs[column] for row, column in pairs if same[row, column]}
