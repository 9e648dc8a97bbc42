"""Boxes that a detector found in one frame, of which every thing shall be left one."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Detections:
    """The boxes of one frame.

    Attributes:
        boxes: Left, top, right, bottom ``[N, 4]``, in any unit.
        scores: How sure each is, ``[N]``.
        nouns: Index of the noun each is one of, ``[N]``.
    """

    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    nouns: NDArray[np.int64]

    @classmethod
    def of_centres(
        cls,
        boxes: NDArray[np.float64],
        scores: NDArray[np.float64],
        nouns: NDArray[np.int64],
    ) -> Self:
        """From boxes given as centre and size ``[N, 4]``, as detection transformers do."""
        centre, half = boxes[:, :2], boxes[:, 2:] / 2
        return cls(np.concatenate([centre - half, centre + half], axis=1), scores, nouns)

    def counts(self, num_nouns: int) -> NDArray[np.int64]:
        """Number of boxes of each noun, ``[G]``."""
        return np.bincount(self.nouns, minlength=num_nouns).astype(np.int64)

    def suppressed(self, same_noun: float, any_noun: float) -> Self:
        """Without the boxes that show what a surer box shows already.

        Args:
            same_noun: Overlap, intersection over union, above which two boxes of one noun are one
                thing.
            any_noun: The same for two boxes of whatever nouns: one ball is not red and blue.
        """
        kept: list[int] = []
        for index in np.argsort(-self.scores, kind="stable").tolist():
            overlap = _overlaps(self.boxes[index], self.boxes[kept])
            limit = np.where(self.nouns[kept] == self.nouns[index], same_noun, any_noun)
            if not (overlap > limit).any():
                kept.append(index)
        return type(self)(self.boxes[kept], self.scores[kept], self.nouns[kept])


def _overlaps(box: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union of a box with others, ``[N]``."""
    corner = np.maximum(box[:2], others[:, :2])
    sides = np.clip(np.minimum(box[2:], others[:, 2:]) - corner, 0, None)
    shared = sides.prod(axis=1)
    area, areas = (box[2:] - box[:2]).prod(), (others[:, 2:] - others[:, :2]).prod(axis=1)
    return shared / np.maximum(area + areas - shared, np.finfo(np.float64).tiny)
