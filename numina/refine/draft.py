"""A layout while it is refined, and the record of what was done to it."""

import numpy as np
from numpy.typing import NDArray

from numina.identify.tracks import fill_missing, track_of
from numina.layout import Layout, LayoutEdit


class Draft:
    """A layout under refinement and the record of what was done to it."""

    def __init__(self, before: Layout) -> None:
        self.before = before
        self.labels = before.labels.copy()
        self.nouns = list(before.nouns)
        self.removed: list[int] = []
        self.added: list[int] = []
        self.templates: list[int | None] = []
        self.promoted: list[int] = []
        self.brief: Layout | None = None

    def copy(self) -> "Draft":
        twin = Draft(self.before)
        twin.labels = self.labels.copy()
        twin.nouns, twin.removed = list(self.nouns), list(self.removed)
        twin.added, twin.templates = list(self.added), list(self.templates)
        twin.promoted, twin.brief = list(self.promoted), self.brief
        return twin

    def remove(self, label: int) -> None:
        self.labels[self.labels == label] = 0
        self.removed.append(label)

    def promote(self, short: Layout, label: int, drift: NDArray[np.float64]) -> None:
        """Make a short track an instance, if a majority of the frames has room for it."""
        track = track_of(short, label)
        new = len(self.nouns) + 1
        labels = self.labels.copy()
        for frame, mask in zip(track.frames, track.masks, strict=True):
            free = mask & (labels[frame] == 0)
            if 2 * free.sum() >= mask.sum():
                labels[frame][free] = new
        fill_missing(labels, new, track, drift)
        if 2 * (labels == new).any((1, 2)).sum() > len(labels):
            self.labels = labels
            self._record(track.noun, None)
            self.promoted.append(label)

    def left_of(self, short: Layout) -> Layout:
        """The short tracks that were not promoted."""
        gone = np.isin(short.labels, self.promoted)
        return Layout(np.where(gone, np.int16(0), short.labels), short.nouns)

    def lay(
        self,
        shape: NDArray[np.bool_],
        path: NDArray[np.int64],
        noun: int,
        template: int | None,
    ) -> None:
        """Add an instance along ``path``, its offset in every frame ``[F, 2]``."""
        label = self._record(noun, template)
        height, width = shape.shape
        for labels, (row, column) in zip(self.labels, path, strict=True):
            labels[row : row + height, column : column + width][shape] = label

    def lay_over(
        self, frame: int, mask: NDArray[np.bool_], noun: int, template: int | None
    ) -> None:
        """Add an instance to one frame; it takes the patches of all but other added ones."""
        label = self._record(noun, template)
        self.labels[frame][mask & (self.labels[frame] <= len(self.before.nouns))] = label

    def _record(self, noun: int, template: int | None) -> int:
        self.nouns.append(noun)
        self.added.append(len(self.nouns))
        self.templates.append(template)
        return len(self.nouns)

    def layout(self) -> Layout:
        return Layout(self.labels, tuple(self.nouns))

    def count(self, noun: int) -> int:
        return self.layout().count(noun)

    def edit(self) -> LayoutEdit:
        return LayoutEdit(
            before=self.before,
            after=self.layout(),
            added=tuple(self.added),
            removed=tuple(self.removed),
            templates=tuple(self.templates),
            brief=self.brief,
        )


def cropped(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The mask without the empty rows and columns around it."""
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    return mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
