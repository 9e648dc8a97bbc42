"""Where a new instance goes: the paper's cost on a grid, and hard non-overlap by correlation."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.signal import fftconvolve

from numina.errors import LayoutError
from numina.refine.quotas import centre_patches


@dataclass(frozen=True)
class PlacementSpec:
    """Where and how large new instances are; every length is relative to something.

    Attributes:
        gap: Free patches kept between a new instance and every other one, in every frame.
        clearance: What one instance side of extra room is worth, in frame diagonals of distance
            from the noun's own instances; 0 packs new instances beside the old ones.
        scales: Factors on the template's sides, tried in order until all new instances fit.
        area: Share of the frame that an instance gets where there is none to copy.
    """

    gap: int = 1
    clearance: float = 0.25
    scales: tuple[float, ...] = (1.0, 0.8, 0.65, 0.5)
    area: float = 0.05

    def __post_init__(self) -> None:
        if self.gap < 0 or self.clearance < 0:
            raise ValueError(f"gap and clearance must not be negative, got {self}")
        if not self.scales or not all(0 < scale <= 1 for scale in self.scales):
            raise ValueError(f"scales must be factors in (0, 1], got {self.scales}")
        if not 0 < self.area <= 1:
            raise ValueError(f"area must be a share in (0, 1], got {self.area}")


@dataclass(frozen=True)
class PaperPlacement:
    """The paper's placement (arXiv 2604.08546, Eq. 5-6), in patches.

    Attributes:
        temporal: ``lambda``, the weight of ``C_t``.
        radius: Radius in patches of the disc that stands in where there is no region to copy.
    """

    temporal: float = 8.0
    radius: int = 5

    def __post_init__(self) -> None:
        if self.temporal < 0:
            raise ValueError(f"temporal must not be negative, got {self.temporal}")
        if self.radius < 0:
            raise ValueError(f"radius must not be negative, got {self.radius}")


def place(
    occupied: NDArray[np.bool_],
    footprint: NDArray[np.bool_],
    count: int = 1,
    *,
    velocity: Sequence[float] | NDArray[np.float64] = (0.0, 0.0),
    anchor: Sequence[float] | NDArray[np.float64] | None = None,
    spec: PlacementSpec | None = None,
    within: NDArray[np.bool_] | None = None,
) -> NDArray[np.int64] | None:
    """Find free places for ``count`` copies of a footprint, all frames considered.

    A copy moves with the scene and stops at the frame's border. It keeps ``spec.gap`` patches
    from every occupied patch and from the other copies in every frame. Among such places each
    copy takes the one with the least distance from ``anchor`` in units of the frame's diagonal,
    less what its clearance is worth; where that leaves no room for the last ones, all are packed
    row by row instead.

    Args:
        occupied: Patches of all instances of all nouns, ``[F, Y, X]``.
        footprint: Shape of a copy, ``[h, w]``.
        count: Copies to place.
        velocity: Motion of the scene, patches per frame, ``[2]``.
        anchor: ``(row, column)`` that copies should be near to; the frame's centre if None.
        spec: Settings.
        within: Patches that the centre of a copy must be in at a majority of the frames,
            ``[Y, X]``; None for any.

    Returns:
        Offsets of the footprint's first row and column, ``[count, F, 2]``, or None where no way
        was found to fit all of them.

    Raises:
        LayoutError: If the shapes are wrong or the footprint is empty.
    """
    spec = spec or PlacementSpec()
    preferred = _Room(occupied, footprint, velocity, spec.gap, within)
    while len(preferred.taken) < count and preferred.free.any():
        cost = preferred.distance(anchor) - spec.clearance * preferred.clearance()
        preferred.take(_first_minimum(np.where(preferred.free, cost, np.inf)))
    if len(preferred.taken) == count:
        return preferred.offsets()
    packed = _Room(occupied, footprint, velocity, spec.gap, within)
    packed.pack(count)
    return packed.offsets() if len(packed.taken) == count else None


def capacity(
    occupied: NDArray[np.bool_],
    footprint: NDArray[np.bool_],
    *,
    velocity: Sequence[float] | NDArray[np.float64] = (0.0, 0.0),
    spec: PlacementSpec | None = None,
    within: NDArray[np.bool_] | None = None,
) -> int:
    """Copies of a footprint that fit beside what is there, packed row by row.

    ``place`` succeeds for this count and every lower one. (A lower bound of the true maximum,
    whose search is NP-hard.) Arguments as for ``place``.
    """
    spec = spec or PlacementSpec()
    packed = _Room(occupied, footprint, velocity, spec.gap, within)
    packed.pack(occupied[0].size)
    return len(packed.taken)


def disc(radius: int) -> NDArray[np.bool_]:
    """The paper's stand-in shape, ``[2 * radius + 1, 2 * radius + 1]``."""
    offsets = np.arange(-radius, radius + 1)
    return offsets[:, None] ** 2 + offsets[None] ** 2 <= radius**2


def disc_of_area(area: float) -> NDArray[np.bool_]:
    """A disc of about ``area`` patches, at least one; up to nine patches it is a square."""
    radius = (max(area, 1.0) / np.pi) ** 0.5
    offsets = np.arange(max(1, round(2 * radius)), dtype=np.float64)
    offsets -= offsets.mean()
    return offsets[:, None] ** 2 + offsets[None] ** 2 <= radius**2


def paper_place(
    occupied: NDArray[np.bool_],
    footprint: NDArray[np.bool_],
    previous: Sequence[float] | NDArray[np.float64] | None = None,
    spec: PaperPlacement | None = None,
) -> tuple[int, int]:
    """The place of least cost ``C = C_o + C_c + lambda * C_t`` (arXiv 2604.08546, Eq. 5-6).

    ``C_o`` is the overlap with the layout in patches, ``C_c`` the squared distance of the centre
    ``c`` to the layout's centroid and ``C_t`` that to the same instance's centre in the previous
    frame, both in squared patches. Candidates are all places of the patch grid where the
    footprint lies inside the frame; along an axis on which it is longer than the frame, all
    places that keep its centre inside, the footprint being cut at the border.

    Args:
        occupied: Patches of the noun's instances in this frame, ``[Y, X]``.
        footprint: Shape of the new instance, ``[h, w]``.
        previous: Its centre in the previous frame, or None, which leaves ``C_t`` out.
        spec: Settings.

    Returns:
        Offset ``(row, column)`` of the footprint; may be negative where it is cut.
    """
    spec = spec or PaperPlacement()
    cost, (top, left) = paper_cost(occupied, footprint, previous, spec)
    row, column = _first_minimum(cost)
    return row + top, column + left


def paper_cost(
    occupied: NDArray[np.bool_],
    footprint: NDArray[np.bool_],
    previous: Sequence[float] | NDArray[np.float64] | None,
    spec: PaperPlacement,
) -> tuple[NDArray[np.float64], tuple[int, int]]:
    """``C`` of Eq. 5 at every candidate, and the offset of the first candidate."""
    _check_footprint(footprint)
    ranges = [
        (0, frame - shape) if shape <= frame else (-(shape // 2), frame - 1 - shape // 2)
        for frame, shape in zip(occupied.shape, footprint.shape, strict=True)
    ]
    (top, bottom), (left, right) = ranges
    height, width = footprint.shape
    room = np.zeros((bottom - top + height, right - left + width))
    inner = occupied[max(top, 0) :, max(left, 0) :]
    room[max(-top, 0) :, max(-left, 0) :][: inner.shape[0], : inner.shape[1]] = inner
    overlap = np.rint(_correlate(room[None], footprint)[0])
    centre = np.argwhere(footprint).mean(0)
    rows = np.arange(top, bottom + 1)[:, None] + centre[0]
    columns = np.arange(left, right + 1)[None] + centre[1]
    middle = (np.array(occupied.shape) - 1) / 2
    centroid = np.argwhere(occupied).mean(0) if occupied.any() else middle
    cost = overlap + (rows - centroid[0]) ** 2 + (columns - centroid[1]) ** 2
    if previous is not None:
        cost = cost + spec.temporal * ((rows - previous[0]) ** 2 + (columns - previous[1]) ** 2)
    return cost, (top, left)


class _Room:
    """Places that are still free for a moving footprint, named by the offset at mid-video."""

    def __init__(
        self,
        occupied: NDArray[np.bool_],
        footprint: NDArray[np.bool_],
        velocity: Sequence[float] | NDArray[np.float64],
        gap: int,
        within: NDArray[np.bool_] | None = None,
    ) -> None:
        _check_footprint(footprint)
        if occupied.ndim != 3 or occupied.dtype != np.bool_:
            raise LayoutError(
                f"occupied must be a bool [F, Y, X], got {occupied.dtype} {occupied.shape}"
            )
        self.footprint = footprint
        self.taken: list[tuple[int, int]] = []
        frames = np.arange(len(occupied)) - len(occupied) // 2
        shifts = np.rint(frames[:, None] * np.asarray(velocity, np.float64)).astype(np.int64)
        self.num_frames = len(occupied)
        if not shifts.any():
            # Nothing moves, so a patch that is ever occupied always is: one frame says it all.
            occupied, shifts = np.asarray(occupied.any(axis=0, keepdims=True)), shifts[:1]
        self.occupied = occupied.copy()
        reach = 2 * gap + 1
        fits = all(f >= s for f, s in zip(occupied.shape[1:], footprint.shape, strict=True))
        if fits:
            wide = ndimage.binary_dilation(occupied, np.ones((1, reach, reach), bool))
            blocked = _correlate(wide, footprint) > 0.5
        else:
            blocked = np.ones((len(occupied), 1, 1), bool)
        # Places that one copy blocks around its own: [2 (h - 1 + gap) + 1, 2 (w - 1 + gap) + 1].
        margins = [(side - 1 + gap, side - 1 + gap) for side in footprint.shape]
        wide = ndimage.binary_dilation(np.pad(footprint, margins), np.ones((reach, reach), bool))
        self.conflict = _correlate(wide[None], footprint)[0] > 0.5
        self.margins = tuple(margin for margin, _ in margins)
        self.padded = np.pad(blocked, [(0, 0), *margins])
        # A copy that would leave the frame stops at its border.
        self.rows, self.columns = (
            np.clip(np.arange(size) + shifts[:, axis : axis + 1], 0, size - 1)
            for axis, size in enumerate(self.blocked.shape[1:])
        )
        self.allowed = self._allowed(within)

    @property
    def blocked(self) -> NDArray[np.bool_]:
        """Places where a copy would meet something, ``[F, Y - h + 1, X - w + 1]``."""
        down, across = self.margins
        return self.padded[:, down:, across:][:, : -down or None, : -across or None]

    @property
    def free(self) -> NDArray[np.bool_]:
        """Places where a copy meets nothing in any frame, ``[Y - h + 1, X - w + 1]``."""
        return np.logical_not(self._follow(self.blocked).any(0)) & self.allowed

    def take(self, place: tuple[int, int]) -> None:
        """Put a copy there; what is within reach of it is free no longer."""
        self.taken.append(place)
        for frame, (row, column) in enumerate(self._path(place)):
            # In padded places, a copy's own place is the middle of what it blocks.
            _or_at(self.padded[frame], self.conflict, row, column)
            _or_at(self.occupied[frame], self.footprint, row, column)

    def pack(self, count: int) -> None:
        """Take the first free place in reading order until ``count`` are taken or none is left."""
        while len(self.taken) < count and (free := self.free).any():
            self.take(_first_minimum(~free))

    def offsets(self) -> NDArray[np.int64]:
        """First row and column of every copy in every frame, ``[count, F, 2]``."""
        paths = [self._path(place) for place in self.taken]
        found = np.array(paths, np.int64).reshape(-1, len(self.occupied), 2)
        return np.broadcast_to(found, (len(paths), self.num_frames, 2)).copy()

    def distance(self, anchor: Sequence[float] | NDArray[np.float64] | None) -> NDArray[np.float64]:
        """Distance of each place's centre to ``anchor``, in frame diagonals."""
        frame = np.array(self.occupied.shape[1:])
        target = (frame - 1) / 2 if anchor is None else np.asarray(anchor, np.float64)
        centre = np.argwhere(self.footprint).mean(0)
        rows, columns = (np.arange(size) for size in self.blocked.shape[1:])
        off = np.hypot(rows[:, None] + centre[0] - target[0], columns[None] + centre[1] - target[1])
        return off / float(np.hypot(*frame))

    def clearance(self) -> NDArray[np.float64]:
        """Least room around each place over the frames, in instance sides, 1 at most.

        Room is the free patches between the footprint's bounding box and the nearest instance or
        the frame's border, diagonals included.
        """
        height, width = self.footprint.shape
        rows, columns = self.blocked.shape[1:]
        room = np.stack(
            [
                ndimage.distance_transform_cdt(np.pad(~frame, 1), "chessboard")[1:-1, 1:-1]
                for frame in self.occupied
            ]
        )
        nearest = ndimage.minimum_filter(room, (1, height, width), mode="nearest")
        start = nearest[:, height // 2 :, width // 2 :][:, :rows, :columns]
        side = float(self.footprint.sum()) ** 0.5
        return np.clip((self._follow(start).min(0) - 1) / side, 0.0, 1.0)

    def _allowed(self, within: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
        """Places from which a copy's centre is inside at a majority of the frames."""
        places = self.blocked.shape[1:]
        fits = all(
            f >= s for f, s in zip(self.occupied.shape[1:], self.footprint.shape, strict=True)
        )
        if within is None or not fits:
            return np.ones(places, bool)
        corners = np.argwhere(np.ones(places, bool))
        rows, columns = centre_patches(corners + np.argwhere(self.footprint).mean(0))
        inside = within[rows, columns].reshape(places)
        followed = self._follow(np.broadcast_to(inside, (len(self.rows), *places)))
        return np.asarray(2 * followed.sum(0) > len(followed))

    def _follow(self, maps: NDArray) -> NDArray:
        """Value of ``maps`` in each frame along the path of every place, ``[F, *, *]``."""
        paths = zip(maps, self.rows, self.columns, strict=True)
        return np.stack([frame[np.ix_(rows, columns)] for frame, rows, columns in paths])

    def _path(self, place: tuple[int, int]) -> NDArray[np.int64]:
        return np.stack([self.rows[:, place[0]], self.columns[:, place[1]]], axis=1)


def _or_at(target: NDArray[np.bool_], stamp: NDArray[np.bool_], row: int, column: int) -> None:
    target[row : row + stamp.shape[0], column : column + stamp.shape[1]] |= stamp


def _correlate(maps: NDArray, footprint: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Sum of each map under the footprint at every place inside, ``[F, Y - h + 1, X - w + 1]``."""
    kernel = footprint[None, ::-1, ::-1].astype(np.float64)
    return fftconvolve(maps.astype(np.float64), kernel, mode="valid", axes=(1, 2))


def _first_minimum(cost: NDArray) -> tuple[int, int]:
    row, column = np.unravel_index(int(cost.argmin()), cost.shape)
    return int(row), int(column)


def _check_footprint(footprint: NDArray[np.bool_]) -> None:
    if footprint.ndim != 2 or footprint.dtype != np.bool_ or not footprint.any():
        raise LayoutError(
            f"footprint must be a bool [h, w] with at least one patch, got {footprint.dtype} "
            f"{footprint.shape} with {int(np.count_nonzero(footprint))}"
        )
