"""Refinement as published: the regions of every frame and noun alone."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from numina.errors import NoRoomError
from numina.layout import Layout, LayoutEdit
from numina.refine.draft import Draft, cropped
from numina.refine.placement import PaperPlacement, disc, paper_place
from numina.refine.refinement import check_counts


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
    draft = Draft(before)
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
            shape = disc(spec.radius) if template is None else cropped(labels == template)
            previous, centres = centres, []
            for turn in range(count - len(ranked)):
                past = previous[turn] if turn < len(previous) else None
                offset = paper_place(occupied, shape, past, spec)
                mask = _stamped(occupied.shape, shape, offset)
                draft.lay_over(frame, mask, noun, template)
                occupied = occupied | mask
                centres.append(np.argwhere(shape).mean(0) + offset)
    return draft.edit()


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
