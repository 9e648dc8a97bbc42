"""Every instance in every frame: none leaves or melts into another, and none passes through."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.signal import fftconvolve

from numina.identify.tracks import (
    Track,
    Tracks,
    displacement,
    frames_covered,
    tracks_of,
    velocity,
)
from numina.layout import Layout
from numina.refine.quotas import centre_patches

_AROUND = np.ones((3, 3), np.bool_)


@dataclass(frozen=True)
class PresenceSpec:
    """When an instance is there in a frame, and when it matters that it is not.

    Attributes:
        patience: Share of the frames from which on it matters that an instance is missing, or that
            one is seen which is too brief to be counted.
        whole: Share of its own typical area that an instance at the frame's border must show.
    """

    patience: float = 0.3
    whole: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.patience <= 1 or not 0 <= self.whole <= 1:
            raise ValueError(f"patience and whole must be shares in 0..1, got {self}")


def is_present(tracks: Tracks, spec: PresenceSpec) -> bool:
    """Whether the frames show the same instances: all counted ones, and no other."""
    if brief_sightings(tracks.short, spec) is not None:
        return False
    frames = len(tracks.layout.labels)
    return all(
        len(_lacking(track, frames, spec)) < spec.patience * frames
        for track in tracks_of(tracks.sighted).values()
    )


def brief_sightings(short: Layout, spec: PresenceSpec) -> Layout | None:
    """Those of the short tracks that change the count of more than a stray frame."""
    frames = np.array(frames_covered(short), np.int64)
    stays = np.append(False, frames >= spec.patience * len(short.labels))
    if not stays.any():
        return None
    return Layout(np.where(stays[short.labels], short.labels, np.int16(0)), short.nouns)


def completed(
    layout: Layout,
    spec: PresenceSpec,
    gap: int = 1,
    homes: Mapping[int, NDArray[np.bool_]] = MappingProxyType({}),
) -> Layout:
    """Show every instance in every frame, and those of a noun apart.

    An instance that a frame does not show gets the shape that it has in the nearest frame which
    does, moved on; one that touches another of its noun keeps its own shape. It goes to the nearest
    place inside the frame that is ``gap`` patches away from all others, and in the next frame near
    to that; where there is none, it stays as it is.

    Args:
        layout: A linked layout, as it was seen.
        spec: Settings.
        gap: Free patches between two instances; those of a noun are parted by one at least.
        homes: Patches ``[Y, X]`` that the centre of an instance must stay in, by its label.

    Returns:
        The same instances.
    """
    labels = layout.labels.copy()
    drift = velocity(layout)
    for label, track in tracks_of(layout).items():
        lacking = _lacking(track, len(labels), spec)
        shown = _shown(track, lacking)
        rivals = [each for each in layout.instances(track.noun) if each != label]
        aside = np.zeros(2)
        for frame, now in enumerate(labels):
            if frame in lacking:
                nearest = min(shown, key=lambda at: abs(track.frames[at] - frame))
                shape = track.masks[nearest]
                moved = displacement(track, nearest, frame, drift)
            elif _touches(now, label, rivals):
                shape, moved = now == label, np.zeros(2)
            else:
                aside = np.zeros(2)
                continue
            others = (now > 0) & (now != label)
            found = _nearest_place(shape, moved + aside, others, max(1, gap), homes.get(label))
            if found is not None:
                place, offset = found
                aside = offset - moved
                now[now == label] = 0
                now[place] = label
    return Layout(labels, layout.nouns)


def _lacking(track: Track, frames: int, spec: PresenceSpec) -> set[int]:
    """Frames that do not show an instance, or no more than a part of it."""
    inside = [at for at, mask in enumerate(track.masks) if not _touches_border(mask)]
    least = spec.whole * float(np.median(track.areas[inside] if inside else track.areas))
    cut = [at for at in range(len(track.frames)) if at not in inside and track.areas[at] < least]
    return set(range(frames)) - set(track.frames) | {track.frames[at] for at in cut}


def _shown(track: Track, lacking: set[int]) -> list[int]:
    """Sightings of a track that show the instance, if possible those that no border may cut."""
    shown = [at for at, frame in enumerate(track.frames) if frame not in lacking]
    return [at for at in shown if not _touches_border(track.masks[at])] or shown


def _touches(labels: NDArray[np.int16], label: int, rivals: Sequence[int]) -> bool:
    """Whether an instance has one of its rivals as a neighbour, diagonals included, ``[Y, X]``."""
    around = ndimage.binary_dilation(labels == label, _AROUND)
    return bool(np.isin(labels[around], rivals).any())


def _touches_border(mask: NDArray[np.bool_]) -> bool:
    return bool(mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any())


def _nearest_place(
    shape: NDArray[np.bool_],
    moved: NDArray[np.float64],
    others: NDArray[np.bool_],
    gap: int,
    home: NDArray[np.bool_] | None,
) -> tuple[NDArray[np.bool_], NDArray[np.float64]] | None:
    """The shape ``[Y, X]`` where it is free, as near as can be to where it moved, and how far."""
    places = np.argwhere(shape)
    first, last = places.min(0), places.max(0)
    stamp = shape[first[0] : last[0] + 1, first[1] : last[1] + 1]
    reach = np.ones((2 * gap + 1, 2 * gap + 1), np.bool_)
    blocked = ndimage.binary_dilation(others, reach).astype(np.float64)
    overlap = fftconvolve(blocked, stamp[::-1, ::-1].astype(np.float64), mode="valid")
    corners = np.moveaxis(np.indices(overlap.shape), 0, -1)  # [*, *, 2]
    far = np.hypot(*np.moveaxis(corners - first - moved, -1, 0))
    far[overlap > 0.5] = np.inf
    if home is not None:
        centres = corners.reshape(-1, 2) + np.argwhere(stamp).mean(0)
        far[~home[centre_patches(centres)].reshape(far.shape)] = np.inf
    if not np.isfinite(far).any():
        return None
    row, column = np.unravel_index(far.argmin(), far.shape)
    found = np.zeros_like(shape)
    found[row : row + stamp.shape[0], column : column + stamp.shape[1]] = stamp
    return found, np.array([row, column]) - first
