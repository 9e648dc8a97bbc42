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
    counts = np.zeros(3, np.int64)
    for ours, theirs in zip(_masks(found, noun), _masks(true, noun), strict=True):
        counts += (len(ours), len(theirs), _matched(ours, theirs))
    return Matches(*counts.tolist())


def _masks(layout: Layout, noun: int) -> list[NDArray[np.bool_]]:
    """For each frame the instances seen in it, ``[K, Y, X]``."""
    labels = np.array(layout.instances(noun), np.int16)[:, None, None]
    frames = [labels == frame for frame in layout.labels]
    return [masks[masks.any(axis=(1, 2))] for masks in frames]


def _matched(found: NDArray[np.bool_], true: NDArray[np.bool_]) -> int:
    if not len(found) or not len(true):
        return 0
    both = np.einsum("iyx,jyx->ij", found.astype(np.int64), true.astype(np.int64))
    either = found.sum((1, 2))[:, None] + true.sum((1, 2)) - both
    centres = [np.rint(np.argwhere(mask).mean(axis=0)).astype(np.int64) for mask in found]
    inside = np.array([true[:, row, column] for row, column in centres])
    same = inside | (both >= SAME * either)
    rows, columns = linear_sum_assignment(same, maximize=True)
    return int(same[rows, columns].sum())
