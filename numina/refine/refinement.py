"""From a layout and the counts asked for to the layout that shall be enforced."""

from collections.abc import Sequence
from numbers import Integral

import numpy as np
from numpy.typing import NDArray

from numina.errors import LayoutError, NoRoomError, TargetError
from numina.identify.tracks import (
    Tracks,
    fill_missing,
    frames_covered,
    track_of,
    tracks_of,
    velocity,
)
from numina.layout import Layout, LayoutEdit
from numina.refine.placement import (
    PaperPlacement,
    PlacementSpec,
    capacity,
    disc,
    disc_of_area,
    paper_place,
    place,
    scaled,
)


def refine_layout(
    tracks: Tracks | Layout,
    counts: Sequence[int],
    spec: PlacementSpec | None = None,
    *,
    focus: NDArray[np.float32] | None = None,
    names: Sequence[str] | None = None,
) -> LayoutEdit:
    """Add or remove whole tracks until every noun has the number asked for.

    The paper (arXiv 2604.08546, section 4.2) refines every frame alone; here an instance comes or
    goes in all frames at once. Too many: the smallest, shortest, least attended tracks go. Too
    few: first tracks too short to be counted are promoted, then copies of the noun's median
    instance are placed, moving with the scene and ``spec.gap`` patches away from every instance
    of every noun in every frame. A noun without an instance copies a disc of the median area of
    the others, or, where nothing at all was found, one of the relative size that ``spec`` names.

    Args:
        tracks: Linked instances, with or without the short ones.
        counts: Number asked for of each noun; 0 removes all.
        spec: Settings.
        focus: Where each noun attends, ``[G, F, Y, X]``, not negative. A track weighs its mean
            area times its share of the frames times its mean focus; without focus, the first two.
        names: The nouns' names, for messages.

    Returns:
        The edit. Kept instances are untouched, bit for bit. Promoted tracks count as added,
        without a template.

    Raises:
        TargetError: If a count is no whole number >= 0, or if a noun of the layout has none.
        NoRoomError: If the instances do not fit; the message names the largest count that does.
        LayoutError: If ``focus`` covers another grid or other nouns.
    """
    spec = spec or PlacementSpec()
    if isinstance(tracks, Layout):
        tracks = Tracks.of(tracks)
    before = tracks.layout
    wanted = check_counts(counts, (*before.nouns, *tracks.short.nouns))
    if focus is not None and focus.shape != (len(wanted), *before.labels.shape):
        raise LayoutError(
            f"focus must be [G, F, Y, X] {(len(wanted), *before.labels.shape)}, got {focus.shape}"
        )
    draft = _Draft(before)
    for noun, count in enumerate(wanted):
        ranked = _ranked(before, tracks.seen, noun, focus)
        for label in ranked[: max(0, len(ranked) - count)]:
            draft.remove(label)
    drift = velocity(draft.layout())
    short_seen = frames_covered(tracks.short)
    for noun, count in enumerate(wanted):
        for label in reversed(_ranked(tracks.short, short_seen, noun, focus)):
            if draft.count(noun) < count:
                draft.promote(tracks.short, label, drift)
    missing = [count - draft.count(noun) for noun, count in enumerate(wanted)]
    if any(missing):
        draft = _filled(draft, missing, drift, spec, names)
    return draft.edit()


def refine_frames(
    layout: Layout, counts: Sequence[int], spec: PaperPlacement | None = None
) -> LayoutEdit:
    """Refine every frame and noun alone, as the paper does (arXiv 2604.08546, section 4.2).

    Too many regions: the smallest is erased. Too few: the shape of the smallest region, or a
    disc where there is none, is put where ``C_o + C_c + lambda * C_t`` is least (``paper_place``);
    the same instance in the previous frame is the one that was added there in the same turn.

    The cost weighs overlap against squared distance, so a new region may lie on an old one; it
    then takes its patches, and the count of the result may fall short. ``refine_layout`` does
    not have that fault.

    Args:
        layout: Regions; an instance that spans frames is taken apart into one per frame.
        counts: Number asked for of each noun; 0 erases all.
        spec: Settings.

    Returns:
        The edit, every label of which lives in a single frame.

    Raises:
        TargetError: If a count is no whole number >= 0, or if a noun of the layout has none.
        NoRoomError: If a frame has fewer patches than a count, or the video fewer labels.
    """
    spec = spec or PaperPlacement()
    wanted = check_counts(counts, layout.nouns)
    before = _one_frame_each(layout)
    num_frames, rows, columns = layout.labels.shape
    labels_left = np.iinfo(np.int16).max - len(before.nouns)
    most = min(rows * columns, labels_left // max(1, num_frames * len(wanted)))
    if max(wanted, default=0) > most:
        raise NoRoomError(
            f"at most {most} instances of a noun can be told apart on {num_frames} frames of "
            f"{rows} x {columns} patches, got a count of {max(wanted)}"
        )
    draft = _Draft(before)
    for noun, count in enumerate(wanted):
        centres: list[NDArray[np.float64]] = []  # of the instances added in the previous frame
        for frame, labels in enumerate(before.labels):
            areas = {
                int(label): int((labels == label).sum())
                for label in np.unique(labels)
                if label and before.nouns[label - 1] == noun
            }
            ranked = sorted(areas, key=lambda label: (areas[label], -label))
            for label in ranked[: max(0, len(ranked) - count)]:
                draft.remove(label)
            occupied = np.isin(labels, ranked)
            template = ranked[0] if ranked else None
            shape = disc(spec.radius) if template is None else _cropped(labels == template)
            previous, centres = centres, []
            for turn in range(count - len(ranked)):
                past = previous[turn] if turn < len(previous) else None
                offset = paper_place(occupied, shape, past, spec)
                mask = _stamped(occupied.shape, shape, offset)
                draft.lay_over(frame, mask, noun, template)
                occupied = occupied | mask
                centres.append(np.argwhere(shape).mean(0) + offset)
    return draft.edit()


def check_counts(counts: Sequence[int], nouns: Sequence[int]) -> tuple[int, ...]:
    """Whole numbers >= 0, one for every noun that occurs.

    Raises:
        TargetError: If there is none for a noun, or one is anything else (``True``, 2.5, NaN …).
    """
    for noun, count in enumerate(counts):
        if isinstance(count, bool) or not isinstance(count, Integral) or count < 0:
            raise TargetError(
                f"the count of noun {noun} must be a whole number, 0 or more, got {count!r}"
            )
    if nouns and max(nouns) >= len(counts):
        raise TargetError(
            f"the layout has instances of noun {max(nouns)}, but only {len(counts)} counts came"
        )
    return tuple(int(count) for count in counts)


class _Draft:
    """A layout under refinement and the record of what was done to it."""

    def __init__(self, before: Layout) -> None:
        self.before = before
        self.labels = before.labels.copy()
        self.nouns = list(before.nouns)
        self.removed: list[int] = []
        self.added: list[int] = []
        self.templates: list[int | None] = []

    def copy(self) -> "_Draft":
        twin = _Draft(self.before)
        twin.labels = self.labels.copy()
        twin.nouns, twin.removed = list(self.nouns), list(self.removed)
        twin.added, twin.templates = list(self.added), list(self.templates)
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
        )


def _ranked(
    layout: Layout, seen: Sequence[int], noun: int, focus: NDArray[np.float32] | None
) -> list[int]:
    """Labels of a noun's instances, the one to go first in front."""
    weights = {}
    for label in layout.instances(noun):
        masks = layout.labels == label
        if masks.any():
            area = masks.sum() / masks.any((1, 2)).sum()
            attention = 1.0 if focus is None else float(focus[noun][masks].mean())
            weights[label] = float(area) * seen[label - 1] * attention
    return sorted(weights, key=lambda label: (weights[label], -label))


def _template(
    layout: Layout, noun: int, spec: PlacementSpec
) -> tuple[NDArray[np.bool_], int | None]:
    """Shape of the instances to be added, and the label that it is from."""
    tracks = tracks_of(layout)
    own = [label for label, track in tracks.items() if track.noun == noun]
    if own:
        size = {label: float(np.median(tracks[label].areas)) for label in own}
        label = sorted(own, key=lambda label: (size[label], label))[(len(own) - 1) // 2]
        frame = int(np.abs(tracks[label].areas - size[label]).argmin())
        return _cropped(tracks[label].masks[frame]), label
    if tracks:
        return disc_of_area(float(np.median([np.median(t.areas) for t in tracks.values()]))), None
    return disc_of_area(spec.area * layout.labels[0].size), None


def _filled(
    draft: _Draft,
    missing: Sequence[int],
    drift: NDArray[np.float64],
    spec: PlacementSpec,
    names: Sequence[str] | None,
) -> _Draft:
    """The draft with the missing instances of every noun placed, all at the largest scale."""
    templates = {n: _template(draft.layout(), n, spec) for n, k in enumerate(missing) if k > 0}
    # Large shapes first: small ones still fit into what is left.
    order = sorted(templates, key=lambda noun: -int(templates[noun][0].sum()))
    for scale in sorted(spec.scales, reverse=True):
        trial = draft.copy()
        for noun in order:
            template, label = templates[noun]
            shape = scaled(template, scale)
            own = np.argwhere(trial.layout().mask(noun))
            paths = place(
                trial.labels > 0,
                shape,
                missing[noun],
                velocity=drift,
                anchor=own[:, 1:].mean(0) if len(own) else None,
                spec=spec,
            )
            if paths is None:
                break
            for path in paths:
                # A promoted track has no label before the edit.
                known = label is not None and label <= len(trial.before.nouns)
                trial.lay(shape, path, noun, label if known else None)
        else:
            return trial
    there = trial.count(noun)
    most = there + capacity(trial.labels > 0, shape, velocity=drift, spec=spec)
    _, rows, columns = trial.labels.shape
    raise NoRoomError(
        f"{there + missing[noun]} instances of {names[noun] if names else f'noun {noun}'} were "
        f"asked for, but at most {most} fit beside the others on frames of {rows} x {columns} "
        f"patches; ask for {most} or fewer, or for larger frames"
    )


def _cropped(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    return mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _stamped(
    frame: tuple[int, ...], shape: NDArray[np.bool_], offset: tuple[int, int]
) -> NDArray[np.bool_]:
    """The shape at ``offset`` in an empty frame ``[Y, X]``, cut at the border."""
    mask = np.zeros(frame, bool)
    places = np.argwhere(shape) + offset
    rows, columns = places[((places >= 0) & (places < frame)).all(1)].T
    mask[rows, columns] = True
    return mask


def _one_frame_each(layout: Layout) -> Layout:
    """The layout with a label of its own for each instance in each frame."""
    labels = np.zeros_like(layout.labels)
    nouns: list[int] = []
    for frame, old in enumerate(layout.labels):
        for label in np.unique(old[old > 0]):
            nouns.append(layout.nouns[label - 1])
            labels[frame][old == label] = len(nouns)
    return Layout(labels, tuple(nouns))
