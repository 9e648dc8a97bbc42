"""Linking the regions of every frame into instances that live over the whole video."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree

from numina.errors import LayoutError
from numina.layout import Layout


@dataclass(frozen=True)
class TrackSpec:
    """How regions of neighbouring frames become one instance.

    Lengths are in *sides* of the noun, a side being the root of its median region area.

    Attributes:
        reach: Sides that a centroid may move from one frame to the next, beside the scene's
            common motion.
        motion: Sides per frame of the fastest common motion that is believed.
        area_weight: Sides of distance that one unit of log area ratio weighs in the matching.
        bridge: Share of the frames that an instance may be missed in at a stretch and still be
            the same one; at least one frame.
        presence: Share of the frames that an instance must be seen in *more* than; in videos of
            one or two frames, one sighting is enough.
    """

    reach: float = 1.0
    motion: float = 3.0
    area_weight: float = 0.5
    bridge: float = 0.15
    presence: float = 0.5

    def __post_init__(self) -> None:
        if self.reach <= 0:
            raise ValueError(f"reach must be positive, got {self.reach}")
        if self.motion < 0 or self.area_weight < 0:
            raise ValueError(f"motion and area_weight must not be negative, got {self}")
        if not 0 <= self.bridge < 1 or not 0 <= self.presence < 1:
            raise ValueError(f"bridge and presence must be shares in [0, 1), got {self}")


@dataclass(frozen=True)
class Track:
    """One instance over the frames that it is seen in.

    Attributes:
        noun: Index of its noun.
        frames: Frames in increasing order.
        masks: Its patches in each of them, ``[len(frames), Y, X]``.
    """

    noun: int
    frames: tuple[int, ...]
    masks: NDArray[np.bool_] = field(repr=False)

    @cached_property
    def areas(self) -> NDArray[np.int64]:
        """Patches in each frame seen, ``[len(frames)]``."""
        return self.masks.sum((1, 2), dtype=np.int64)

    @cached_property
    def centres(self) -> NDArray[np.float64]:
        """Centroid ``(row, column)`` in each frame seen, ``[len(frames), 2]``."""
        return np.array([np.argwhere(mask).mean(0) for mask in self.masks])

    @property
    def steps(self) -> NDArray[np.float64]:
        """Displacements between neighbouring frames that are both seen, ``[<= F - 1, 2]``."""
        adjacent = np.diff(self.frames) == 1
        return np.diff(self.centres, axis=0)[adjacent]


@dataclass(frozen=True)
class Tracks:
    """Instances over the whole video, and those seen too briefly to be counted.

    Attributes:
        layout: Counted instances, one label each over all frames; frames in which one was
            missed are filled.
        short: Instances seen in a minority of the frames, not filled; refinement may promote
            them. Their patches may overlap the filled ones of ``layout``.
        sighted: The instances of ``layout`` as they were seen, before filling.
    """

    layout: Layout
    short: Layout
    sighted: Layout

    @property
    def seen(self) -> tuple[int, ...]:
        """In how many frames each instance was really seen."""
        return frames_covered(self.sighted)

    @classmethod
    def of(cls, layout: Layout, short: Layout | None = None) -> "Tracks":
        """Tracks of a linked layout of which no more is known: nothing in it was filled."""
        if short is None:
            short = Layout(np.zeros_like(layout.labels), ())
        return cls(layout, short, layout)

    def __post_init__(self) -> None:
        if self.layout.labels.shape != self.short.labels.shape:
            raise LayoutError(
                f"layout covers {self.layout.labels.shape}, short {self.short.labels.shape}"
            )
        same = self.layout.labels.shape == self.sighted.labels.shape
        if not same or self.layout.nouns != self.sighted.nouns:
            raise LayoutError(
                f"layout has instances of the nouns {self.layout.nouns} over "
                f"{self.layout.labels.shape}, sighted of {self.sighted.nouns} over "
                f"{self.sighted.labels.shape}"
            )


def link_tracks(layout: Layout, spec: TrackSpec | None = None) -> Tracks:
    """Link the regions of every frame into instances over the video.

    Not in the paper (arXiv 2604.08546 refines every frame alone, and so may erase another
    instance in each): regions of neighbouring frames are matched by the Hungarian method on the
    distance of their centroids, after the scene's common motion is taken off, and on the
    similarity of their areas.

    Args:
        layout: Regions ``[F, Y, X]``; a label stands for one region in every frame that it
            appears in, whether or not it was linked before.
        spec: Settings.

    Returns:
        Counted and short instances, each with labels ``1..n`` of its own, ordered by noun, first
        frame and place.
    """
    spec = spec or TrackSpec()
    num_frames = layout.labels.shape[0]
    regions = [_regions(layout, frame) for frame in range(num_frames)]
    motion = _common_motion(regions, _sides(regions), spec)
    found = [
        track
        for noun in sorted(set(layout.nouns))
        for track in _chain([[r for r in rs if r.noun == noun] for rs in regions], motion, spec)
    ]
    needed = 1 if num_frames <= 2 else int(spec.presence * num_frames) + 1
    kept = [track for track in found if len(track.frames) >= needed]
    short = [track for track in found if len(track.frames) < needed]
    sighted = Layout(_painted(kept, layout.labels.shape), tuple(track.noun for track in kept))
    labels = sighted.labels.copy()
    drift = _median_step(kept)
    for label, track in enumerate(kept, 1):
        fill_missing(labels, label, track, drift)
    return Tracks(
        layout=Layout(labels, sighted.nouns),
        short=Layout(_painted(short, layout.labels.shape), tuple(t.noun for t in short)),
        sighted=sighted,
    )


def track_of(layout: Layout, label: int) -> Track:
    """The instance ``label`` of a linked layout.

    Raises:
        LayoutError: If the layout has no such label, or it covers no patch.
    """
    if not 1 <= label <= len(layout.nouns):
        raise LayoutError(f"label must lie in 1..{len(layout.nouns)}, got {label}")
    masks = layout.labels == label
    frames = np.flatnonzero(masks.any((1, 2)))
    if not frames.size:
        raise LayoutError(f"instance {label} covers no patch")
    return Track(layout.nouns[label - 1], tuple(frames.tolist()), masks[frames])


def tracks_of(layout: Layout) -> dict[int, Track]:
    """Every instance of a linked layout that covers a patch, by its label."""
    present = np.unique(layout.labels)
    return {int(label): track_of(layout, int(label)) for label in present if label > 0}


def frames_covered(layout: Layout) -> tuple[int, ...]:
    """In how many frames each instance of a linked layout covers a patch."""
    return tuple(
        int((layout.labels == label).any((1, 2)).sum()) for label in range(1, len(layout.nouns) + 1)
    )


def velocity(layout: Layout) -> NDArray[np.float64]:
    """The scene's motion: the median displacement of its instances between neighbouring frames.

    Args:
        layout: A linked layout.

    Returns:
        Rows and columns, in patches per frame, ``[2]``; zero where no instance is seen twice.
    """
    return _median_step(tracks_of(layout).values())


def displacement(
    track: Track, sighting: int, frame: int, drift: NDArray[np.float64]
) -> NDArray[np.float64]:
    """How far an instance has moved by ``frame`` since one of its sightings, in patches ``[2]``.

    Between two sightings it goes along the straight line, before the first and after the last by
    ``drift``.
    """
    frames = track.frames
    if frames[0] < frame < frames[-1]:
        centre = np.array([np.interp(frame, frames, axis) for axis in track.centres.T])
        return np.asarray(centre - track.centres[sighting])
    return drift * (frame - frames[sighting])


def fill_missing(
    labels: NDArray[np.int16], label: int, track: Track, drift: NDArray[np.float64]
) -> None:
    """Paint ``track`` into the frames that it is not seen in, in place.

    The mask of the nearest seen frame is moved by ``displacement``. Patches of other instances are
    never taken; where less than half of the mask is left, inside the frame and free, nothing is
    painted.

    Args:
        labels: ``[F, Y, X]`` int16, changed in place.
        label: Label to paint.
        track: The instance.
        drift: Patches per frame, ``[2]``.
    """
    frames = np.array(track.frames)
    for frame in sorted(set(range(len(labels))) - set(track.frames)):
        nearest = int(np.abs(frames - frame).argmin())
        shift = displacement(track, nearest, frame, drift)
        places = np.argwhere(track.masks[nearest]) + np.rint(shift).astype(np.int64)
        inside = ((places >= 0) & (places < labels.shape[1:])).all(1)
        rows, columns = places[inside].T
        free = labels[frame, rows, columns] == 0
        if 2 * free.sum() >= len(places):
            labels[frame, rows[free], columns[free]] = label


@dataclass(frozen=True, eq=False)
class _Region:
    noun: int
    mask: NDArray[np.bool_]
    area: int
    centre: NDArray[np.float64]


def _regions(layout: Layout, frame: int) -> list[_Region]:
    labels = layout.labels[frame]
    regions = []
    for label in np.unique(labels[labels > 0]):
        mask = labels == label
        places = np.argwhere(mask)
        regions.append(_Region(layout.nouns[label - 1], mask, len(places), places.mean(0)))
    return regions


def _sides(regions: Sequence[Sequence[_Region]]) -> dict[int, float]:
    """Root of the median area of each noun's regions, in patches."""
    areas: dict[int, list[int]] = {}
    for frame in regions:
        for region in frame:
            areas.setdefault(region.noun, []).append(region.area)
    return {noun: float(np.median(values)) ** 0.5 for noun, values in areas.items()}


def _common_motion(
    regions: Sequence[Sequence[_Region]], sides: dict[int, float], spec: TrackSpec
) -> NDArray[np.float64]:
    """Motion of the whole scene from each frame to the next, ``[F - 1, 2]`` patches.

    Every displacement between two regions of one noun is a candidate, and so is standing still;
    each wins a vote, falling with distance, from every region that it carries onto another. A
    transition also hears its two neighbours, so that a lone object in steady motion is followed,
    while a single jump, which only its own pair supports, is not taken for a camera move.
    """
    # For each transition, the displacements of each region to all of its noun, and its side.
    moves: list[list[tuple[NDArray[np.float64], float]]] = []
    for now, after in pairwise(regions):
        pairs = []
        for region in now:
            steps = [r.centre - region.centre for r in after if r.noun == region.noun]
            if steps:
                pairs.append((np.array(steps), sides[region.noun]))
        moves.append(pairs)
    motion = np.zeros((len(moves), 2))
    for index in range(len(moves)):
        heard = [pair for pairs in moves[max(0, index - 1) : index + 2] for pair in pairs]
        own = [steps[np.hypot(*steps.T) <= spec.motion * side] for steps, side in moves[index]]
        candidates = np.concatenate([np.zeros((1, 2)), *own])
        votes = _votes(candidates, heard, spec.reach)
        # More than one full vote ahead of the standstill, so that no single pair decides.
        best = int(votes.argmax())
        if votes[best] > votes[0] + 1:
            motion[index] = candidates[best]
    return motion


def _votes(
    candidates: NDArray[np.float64],
    heard: Sequence[tuple[NDArray[np.float64], float]],
    reach: float,
) -> NDArray[np.float64]:
    """What each candidate ``[C, 2]`` wins: from 1 on a displacement down to 0 at its reach.

    A region's nearest displacement votes. Only pairs within reach are ever compared, for in a
    crowd there are millions of others.
    """
    furthest = reach * max((side for _, side in heard), default=0.0)
    places = np.concatenate([np.zeros((0, 2)), *(steps for steps, _ in heard)])
    owner = np.repeat(np.arange(len(heard)), [len(steps) for steps, _ in heard])
    off = np.full((len(heard), len(candidates)), np.inf)
    if len(places):
        # The trees round in their own way, so they only choose, a little too generously.
        near = cKDTree(candidates).sparse_distance_matrix(
            cKDTree(places), furthest * (1 + 1e-9), output_type="ndarray"
        )
        one, other = near["i"], near["j"]
        np.minimum.at(off, (owner[other], one), np.hypot(*(places[other] - candidates[one]).T))
    votes = np.zeros(len(candidates))
    for (_, side), nearest in zip(heard, off, strict=True):
        votes += np.clip(1 - nearest / (reach * side), 0, None)
    return votes


def _chain(
    regions: Sequence[Sequence[_Region]], motion: NDArray[np.float64], spec: TrackSpec
) -> list[Track]:
    """Tracks of one noun's regions, matched frame by frame."""
    areas = [region.area for frame in regions for region in frame]
    side = float(np.median(areas)) ** 0.5 if areas else 1.0
    bridge = max(1, round(spec.bridge * len(regions)))
    chains: list[list[tuple[int, _Region]]] = []
    for frame, current in enumerate(regions):
        live = [chain for chain in chains if frame - chain[-1][0] <= bridge + 1]
        taken = set()
        for chain, index in _matches(live, current, frame, side, motion, spec):
            chain.append((frame, current[index]))
            taken.add(index)
        chains += [[(frame, r)] for index, r in enumerate(current) if index not in taken]
    return [
        Track(chain[0][1].noun, tuple(f for f, _ in chain), np.stack([r.mask for _, r in chain]))
        for chain in chains
    ]


def _matches(
    live: Sequence[list[tuple[int, _Region]]],
    current: Sequence[_Region],
    frame: int,
    side: float,
    motion: NDArray[np.float64],
    spec: TrackSpec,
) -> list[tuple[list[tuple[int, _Region]], int]]:
    if not live or not current:
        return []
    last = np.array([chain[-1][0] for chain in live])
    expected = np.array(
        [chain[-1][1].centre + motion[chain[-1][0] : frame].sum(0) for chain in live]
    )
    found = np.array([region.centre for region in current])
    distance = np.hypot(*(expected[:, None] - found[None]).transpose(2, 0, 1)) / side
    old = np.log([chain[-1][1].area for chain in live])
    new = np.log([region.area for region in current])
    cost = distance + spec.area_weight * np.abs(old[:, None] - new[None])
    # After a longer absence a region must still be near: twice the reach, however long.
    allowed = distance <= spec.reach * np.minimum(frame - last, 2)[:, None]
    # Leaving a pair unmatched costs as much as two moves of full reach: dear enough to prefer a
    # match, cheap enough that one arrival and one departure do not shift a whole row by one.
    cost = np.where(allowed, np.minimum(cost, 2 * spec.reach), 2 * spec.reach)
    rows, columns = linear_sum_assignment(cost)
    return [(live[i], int(j)) for i, j in zip(rows, columns, strict=True) if allowed[i, j]]


def _painted(tracks: Sequence[Track], shape: tuple[int, ...]) -> NDArray[np.int16]:
    labels = np.zeros(shape, np.int16)
    for label, track in enumerate(tracks, 1):
        labels[list(track.frames)] += label * track.masks.astype(np.int16)
    return labels


def _median_step(tracks: Iterable[Track]) -> NDArray[np.float64]:
    steps = [track.steps for track in tracks]
    steps = [step for step in steps if len(step)]
    return np.median(np.concatenate(steps), axis=0) if steps else np.zeros(2)
