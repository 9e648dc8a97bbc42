"""The true layout of a finished clip, and the same one in wrong places: the two controls."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numina.evaluation.failure import EvaluationError
from numina.identify.tracks import Tracks, link_tracks
from numina.layout import Layout
from numina.video import VideoGrid

# Share of a patch that an instance must cover to have it.
COVERED = 0.25


def grid_of(pipe: Any, frames: NDArray[Any]) -> VideoGrid:
    """Patches that the transformer attended over while it made ``frames`` ``[F, Y, X, 3]``."""
    _, tall, wide = pipe.transformer.config.patch_size
    spatial, temporal = pipe.vae_scale_factor_spatial, pipe.vae_scale_factor_temporal
    count, height, width = frames.shape[:3]
    return VideoGrid(
        (count - 1) // temporal + 1, height // spatial // tall, width // spatial // wide
    )


def true_layout(
    masks: Sequence[NDArray[np.int32]], grid: VideoGrid, tracked: bool = False
) -> Layout:
    """The instances of ``true_tracks``, one label each."""
    return true_tracks(masks, grid, tracked).layout


def true_tracks(
    masks: Sequence[NDArray[np.int32]], grid: VideoGrid, tracked: bool = False
) -> Tracks:
    """Bring exact pixel masks to the grid of patches, linked over the frames.

    The first frame is a latent frame of its own, the others share one in equal groups, as the
    causal autoencoders of Wan and CogVideoX have it.

    Args:
        masks: For each noun ``[F, Y, X]``: 0 for none, then 1, 2, … anew in each frame.
        grid: The grid of patches.
        tracked: Whether a number means the same instance in every frame, so that there is nothing
            to link.

    Returns:
        Instances that are seen in a majority of the frames, one label each, and those that are
        not; all that there are where they are tracked.

    Raises:
        EvaluationError: If the frames do not divide into the grid.
    """
    count, height, width = masks[0].shape
    group, rest = divmod(count - 1, grid.frames - 1) if grid.frames > 1 else (1, count - 1)
    if rest or height % grid.rows or width % grid.columns:
        raise EvaluationError(f"frames of {masks[0].shape} do not divide into {grid}")
    labels = np.zeros((count, grid.rows, grid.columns), np.int16)
    numbers: dict[tuple[int, ...], int] = {}
    for frame in range(count):
        parts = [(noun, part) for noun, mask in enumerate(masks)
                 for part in np.unique(mask[frame]).tolist() if part > 0]  # fmt: skip
        if parts:
            covers = np.stack([_shares(masks[noun][frame] == part, grid) for noun, part in parts])
            names = [part if tracked else (*part, frame) for part in parts]
            own = np.array([numbers.setdefault(name, len(numbers) + 1) for name in names])
            owner = _owners(covers)
            labels[frame] = np.where(owner >= 0, own[owner], 0)
    found = Layout(labels, tuple(name[0] for name in numbers))
    linked = Tracks.of(found) if tracked else link_tracks(found)
    stages = (linked.layout, linked.short, linked.sighted)
    return Tracks(*(_in_latent(each, grid, group) for each in stages))


def misplaced(tracks: Tracks) -> Tracks:
    """The layout rolled to where it covers least of itself and cuts fewest instances at the border.

    Sizes, shapes, motion and counts stay; only the places are wrong.
    """
    layout = tracks.layout
    _, rows, columns = layout.labels.shape
    shifts = [(row, column) for row in range(rows) for column in range(columns)]
    shift = min(shifts, key=lambda shift: _overlap(layout, shift) + _cut(layout, shift))
    return Tracks(
        *(
            Layout(np.roll(each.labels, shift, axis=(1, 2)), each.nouns)
            for each in (layout, tracks.short, tracks.sighted)
        )
    )


def _in_latent(linked: Layout, grid: VideoGrid, group: int) -> Layout:
    """Bring labels of every frame ``[F, Y, X]`` to the latent ones, ``group`` in each but one."""
    latent = np.zeros(grid.shape, np.int16)
    latent[0] = linked.labels[0]
    for index in range(1, grid.frames):
        start = 1 + (index - 1) * group
        latent[index] = _most_frequent(linked.labels[start : start + group], len(linked.nouns))
    return Layout(latent, linked.nouns)


def _overlap(layout: Layout, shift: tuple[int, int]) -> float:
    """Share of the occupied patches that the rolled layout occupies as well."""
    before = layout.labels > 0
    after = np.roll(before, shift, axis=(1, 2))
    return float((before & after).sum() / max(1, before.sum()))


def _cut(layout: Layout, shift: tuple[int, int]) -> float:
    """Share of the instances, frame by frame, that the border cuts after rolling."""
    rolled = np.roll(layout.labels, shift, axis=(1, 2))
    cut = total = 0
    for before, after in zip(layout.labels, rolled, strict=True):
        present = np.unique(before[before > 0])
        torn = set()
        for first, last in ((after[0], after[-1]), (after[:, 0], after[:, -1])):
            touching = (first == last) & (first > 0)
            torn |= set(first[touching].tolist())
        cut, total = cut + len(torn), total + len(present)
    return cut / max(1, total)


def _shares(mask: NDArray[np.bool_], grid: VideoGrid) -> NDArray[np.float64]:
    """Share of each patch that a pixel mask covers, ``[Y, X]``."""
    height, width = mask.shape
    tall, wide = height // grid.rows, width // grid.columns
    return mask.reshape(grid.rows, tall, grid.columns, wide).mean(axis=(1, 3))


def _owners(covers: NDArray[np.float64]) -> NDArray[np.int64]:
    """Index of the instance that has each patch, -1 for none, from cover shares ``[K, Y, X]``."""
    owner = np.where(covers.max(axis=0) >= COVERED, covers.argmax(axis=0), -1)
    for index, cover in enumerate(covers):
        # A crumb that covers no patch by a quarter still has its best one.
        if not (owner == index).any():
            best = np.unravel_index(np.where(owner == -1, cover, 0).argmax(), cover.shape)
            if owner[best] == -1 and cover[best] > 0:
                owner[best] = index
    return owner


def _most_frequent(frames: NDArray[np.int16], number: int) -> NDArray[np.int16]:
    """The label most frequent in each patch, where half of the frames at least have one."""
    votes = np.stack([(frames == label).sum(axis=0) for label in range(number + 1)])
    best = votes[1:].argmax(axis=0) + 1 if number else np.zeros(frames.shape[1:], np.int64)
    return np.where(2 * votes[0] <= len(frames), best, 0).astype(np.int16)
