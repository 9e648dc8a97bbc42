"""Parts of a map over the video: linked, split at valleys, sifted by area.

A part lives in one frame. All functions work on every frame at once.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

# Half of the eight neighbours; the other half is the same pairs seen from the other side.
_FOUR = ((0, 1), (1, 0))
_EIGHT = (*_FOUR, (1, 1), (1, -1))


def neighbour_pairs(shape: tuple[int, int, int], diagonal: bool) -> NDArray[np.int64]:
    """Flat indices of all pairs of neighbours within a frame, ``[P, 2]``."""
    index = np.arange(np.prod(shape)).reshape(shape)
    pairs = []
    for down, right in _EIGHT if diagonal else _FOUR:
        here = index[:, : shape[1] - down, max(0, -right) : shape[2] - max(0, right)]
        there = index[:, down:, max(0, right) : shape[2] - max(0, -right)]
        pairs.append(np.stack([here.ravel(), there.ravel()], axis=1))
    return np.concatenate(pairs)


def linked_parts(mask: NDArray[np.bool_], pairs: NDArray[np.int64]) -> NDArray[np.int32]:
    """Number the parts of ``mask`` that ``pairs`` of neighbours hold together, from 1 on."""
    inside = mask.ravel()
    kept = pairs[inside[pairs[:, 0]] & inside[pairs[:, 1]]]
    graph = sparse.coo_matrix(
        (np.ones(len(kept), np.bool_), (kept[:, 0], kept[:, 1])), shape=(inside.size, inside.size)
    )
    _, component = csgraph.connected_components(graph, directed=False)
    labels = np.zeros(inside.size, np.int32)
    if inside.any():
        labels[inside] = np.unique(component[inside], return_inverse=True)[1] + 1
    return labels.reshape(mask.shape)


def split_at_valleys(
    labels: NDArray[np.int32],
    height: NDArray[np.floating],
    pairs: NDArray[np.int64],
    depth: float,
    least: float = 0.0,
) -> NDArray[np.int32]:
    """Split parts whose height has peaks with a valley in between.

    Patches are visited by falling height; each joins the highest peak among its visited
    neighbours. Where two peaks meet, the lower one stays a part of its own only if the valley lies
    at least ``depth`` of its height and at least ``least`` below it.

    Args:
        labels: Parts, ``[F, Y, X]``, 0 for the ground.
        height: Positive inside the parts, ``[F, Y, X]``.
        pairs: Neighbours, see `neighbour_pairs`; those across parts are ignored.
        depth: Share of the lower peak's height, 0..1; above 1 never splits.
        least: Depth that a valley needs in any case, in the unit of ``height``.

    Returns:
        The finer parts, ``[F, Y, X]``, numbered from 1 on.
    """
    flat = labels.ravel()
    kept = pairs[(flat[pairs[:, 0]] > 0) & (flat[pairs[:, 0]] == flat[pairs[:, 1]])]
    inside = np.flatnonzero(flat)
    order = inside[np.argsort(-height.ravel()[inside], kind="stable")]
    rank = np.full(flat.size, -1)
    rank[order] = np.arange(order.size)
    # Each patch's visited neighbours: pairs sorted by their later member.
    ranks = np.sort(rank[kept], axis=1)
    ranks = ranks[np.argsort(ranks[:, 1], kind="stable")]
    starts = np.searchsorted(ranks[:, 1], np.arange(order.size + 1)).tolist()
    earlier = ranks[:, 0].tolist()
    heights = height.ravel()[order].tolist()

    # Ranks of peaks: a smaller rank is a higher peak. joined[r] is the peak that r leads to.
    joined = list(range(order.size))

    def peak_of(patch: int) -> int:
        while joined[patch] != patch:
            joined[patch] = joined[joined[patch]]
            patch = joined[patch]
        return patch

    for patch, (start, stop) in enumerate(pairwise(starts)):
        peaks = sorted({peak_of(other) for other in earlier[start:stop]})
        if not peaks:
            continue
        joined[patch] = peaks[0]
        for lower in peaks[1:]:
            if heights[lower] - heights[patch] < max(depth * heights[lower], least):
                joined[lower] = peaks[0]
    finer = np.zeros(flat.size, np.int32)
    if order.size:
        peaks_of_all = [peak_of(patch) for patch in range(order.size)]
        finer[order] = np.unique(peaks_of_all, return_inverse=True)[1] + 1
    return finer.reshape(labels.shape)


def typical_area(labels: NDArray[np.int32]) -> float:
    """Area-weighted median area of the parts: half of all covered patches lie in larger parts.

    Crumbs hardly move it, however many they are. 0 where there is no part.
    """
    areas = np.sort(np.bincount(labels.ravel())[1:])
    covered = np.cumsum(areas)
    if not covered.size or covered[-1] == 0:
        return 0.0
    return float(areas[np.searchsorted(covered, covered[-1] / 2)])


def absorb_small(
    labels: NDArray[np.int32], pairs: NDArray[np.int64], smallest: float
) -> NDArray[np.int32]:
    """Give parts below an area to the part they touch most, smallest first; drop those alone.

    Args:
        labels: Parts, ``[F, Y, X]``.
        pairs: Neighbours, see `neighbour_pairs`.
        smallest: Area that a part must have, in patches.

    Returns:
        The parts that are left, ``[F, Y, X]``, numbered from 1 on.
    """
    flat = labels.ravel().astype(np.int64)
    number = int(flat.max(initial=0)) + 1
    areas = np.bincount(flat, minlength=number)
    first, second = flat[pairs].T
    touching = (first != second) & (first > 0) & (second > 0)
    contact: dict[int, dict[int, int]] = {}
    codes, lengths = np.unique(
        np.sort(np.stack([first[touching], second[touching]], 1), axis=1) @ [number, 1],
        return_counts=True,
    )
    for code, length in zip(codes.tolist(), lengths.tolist(), strict=True):
        one, other = divmod(code, number)
        contact.setdefault(one, {})[other] = length
        contact.setdefault(other, {})[one] = length
    target = np.arange(number)
    while True:
        alive = np.flatnonzero((target == np.arange(number)) & (areas > 0) & (areas < smallest))
        alive = alive[alive > 0]
        if not alive.size:
            break
        part = int(alive[areas[alive].argmin()])
        touched = contact.pop(part, {})
        goal = max(touched, key=touched.__getitem__, default=0)
        target[part] = goal
        if goal:
            areas[goal] += areas[part]
            for other, length in touched.items():
                del contact[other][part]
                if other != goal:
                    contact[goal][other] = contact[goal].get(other, 0) + length
                    contact[other][goal] = contact[goal][other]
    while (target[target] != target).any():
        target = target[target]
    return renumbered(target[flat].reshape(labels.shape))


def renumbered(labels: NDArray[np.integer]) -> NDArray[np.int32]:
    """The same parts, numbered 1, 2, … in the order of frames, rows and columns; 0 stays 0."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    present = np.unique(labels)
    order = np.argsort(np.where(present == 0, -1, first))
    number = np.empty(len(present), np.int32)
    number[order] = np.arange(len(present)) + (0 if (present == 0).any() else 1)
    return number[inverse].reshape(labels.shape)


def part_means(labels: NDArray[np.int32], values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Mean of each map over each part, ``[..., F, Y, X]`` to ``[..., P]``; parts from 1 on."""
    flat = labels.ravel()
    areas = np.bincount(flat)
    maps = values.reshape(-1, flat.size)
    sums = np.stack([np.bincount(flat, weights=one, minlength=areas.size) for one in maps])
    return (sums / np.maximum(areas, 1))[:, 1:].reshape(*values.shape[:-3], areas.size - 1)
