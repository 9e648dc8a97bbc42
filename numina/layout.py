"""Layouts: where the instances of every noun are, and how an edit changes that."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from numina.errors import LayoutError


class RegionClass(IntEnum):
    """What a patch is to one noun under an edited layout."""

    ELSEWHERE = 0
    KEPT = 1
    ADDED = 2
    REMOVED = 3


@dataclass(frozen=True)
class Layout:
    """Instances of every noun over the frames.

    A patch belongs to at most one instance, and an instance to one noun. Before instances are
    linked over time (``tracks``), each label lives in a single frame; after it, a label is one
    object over the whole video.

    Attributes:
        labels: ``[F, Y, X]`` int16; 0 is background, ``k > 0`` is instance ``k``.
        nouns: Noun index of each instance; ``nouns[k - 1]`` belongs to label ``k``.
    """

    labels: NDArray[np.int16]
    nouns: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.labels.ndim != 3:
            raise LayoutError(f"labels must be [F, Y, X], got shape {self.labels.shape}")
        if self.labels.dtype != np.int16:
            raise LayoutError(f"labels must be int16, got {self.labels.dtype}")
        if self.labels.size and not 0 <= self.labels.min() <= self.labels.max() <= len(self.nouns):
            raise LayoutError(
                f"labels span {self.labels.min()}..{self.labels.max()}, but the layout names the "
                f"nouns of {len(self.nouns)} instances"
            )

    def instances(self, noun: int) -> tuple[int, ...]:
        """Labels of the instances of ``noun``, in increasing order; absent ones included."""
        return tuple(label for label, owner in enumerate(self.nouns, 1) if owner == noun)

    def mask(self, noun: int) -> NDArray[np.bool_]:
        """Patches that any instance of ``noun`` covers, ``[F, Y, X]``."""
        return np.isin(self.labels, self.instances(noun))

    def count(self, noun: int) -> int:
        """Number of instances of ``noun`` that cover at least one patch."""
        return int(np.isin(self.instances(noun), self.labels).sum())

    def count_per_frame(self, noun: int) -> NDArray[np.int64]:
        """Number of instances of ``noun`` seen in each frame, ``[F]``."""
        owned = self.instances(noun)
        counts = [np.isin(owned, frame).sum() for frame in self.labels]
        return np.array(counts, dtype=np.int64)


@dataclass(frozen=True)
class LayoutEdit:
    """A layout, the layout that shall be, and which instances make the difference.

    Attributes:
        before: The layout as identified. A method may leave out what it believed without seeing
            it, and so ask for it.
        after: The layout to enforce. Kept instances keep their label; added ones have labels
            above those of ``before``; removed ones cover nothing.
        added: Labels in ``after`` that ``before`` does not have.
        removed: Labels in ``before`` that ``after`` no longer covers.
        brief: Sightings that ``before`` does not count as instances, too brief for that, and
            that ``after`` does not show at all; None where there are none.
        templates: For each added instance, the label in ``before`` whose shape it copies, or
            None where it is a plain disc or square, or one that was seen too briefly to count.
    """

    before: Layout
    after: Layout
    added: tuple[int, ...] = ()
    removed: tuple[int, ...] = ()
    templates: tuple[int | None, ...] = ()
    brief: Layout | None = None

    def __post_init__(self) -> None:
        if self.before.labels.shape != self.after.labels.shape:
            raise LayoutError(
                f"before covers {self.before.labels.shape}, after {self.after.labels.shape}"
            )
        if len(self.templates) != len(self.added):
            raise LayoutError(
                f"{len(self.added)} instances are added, but {len(self.templates)} templates given"
            )

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to change."""
        same = np.array_equal(self.before.labels, self.after.labels)
        return bool(same) and self.brief is None

    @property
    def seen(self) -> Layout:
        """All that was sighted: ``before``, and above its labels those of ``brief``."""
        if self.brief is None:
            return self.before
        number = np.int16(len(self.before.nouns))
        over = (self.before.labels == 0) & (self.brief.labels > 0)
        labels = np.where(over, self.brief.labels + number, self.before.labels)
        return Layout(labels, self.before.nouns + self.brief.nouns)

    def held(self, noun: int) -> tuple[int, ...]:
        """Labels of kept instances that cover patches which they did not cover before."""
        gained = self.after.labels[self.after.labels != self.before.labels]
        kept = np.setdiff1d(gained, (0, *self.added))
        return tuple(int(label) for label in kept if self.after.nouns[label - 1] == noun)

    def classes(self, num_nouns: int) -> NDArray[np.int8]:
        """``RegionClass`` of every patch for every noun, ``[G, F, Y, X]`` int8."""
        classes = np.zeros((num_nouns, *self.after.labels.shape), np.int8)
        seen = self.seen
        for noun in range(num_nouns):
            classes[noun][seen.mask(noun)] = RegionClass.REMOVED
            after = self.after.mask(noun)
            classes[noun][after] = RegionClass.ADDED
            classes[noun][after & (self.after.labels == self.before.labels)] = RegionClass.KEPT
        return classes
