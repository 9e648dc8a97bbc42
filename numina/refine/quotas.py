"""Quotas: how many instances of a noun there shall be, in the whole frame or in a part of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from numina.errors import TargetError
from numina.identify.tracks import track_of
from numina.layout import Layout
from numina.places import Place, own_masks

# What is asked of one noun, place by place; empty where instances may be anywhere.
Parts = Sequence[tuple[Place, int]]


@dataclass(frozen=True, eq=False)
class Quota:
    """So many instances of a noun, counted by where their centres are.

    Attributes:
        noun: Index of the noun.
        count: How many there shall be.
        within: Patches that a centre may be in at a majority of the frames, ``[Y, X]``; None for
            any.
        phrase: How the place is said; empty where there is none.
    """

    noun: int
    count: int
    within: NDArray[np.bool_] | None = None
    phrase: str = ""

    def holds(self, centres: NDArray[np.float64]) -> bool:
        """Whether most of an instance's centres ``[N, 2]``, one for each frame, are within."""
        if self.within is None:
            return True
        rows, columns = centre_patches(centres)
        return 2 * int(self.within[rows, columns].sum()) > len(centres)


def quotas_of(
    counts: Sequence[int], places: Sequence[Parts], frame: tuple[int, int]
) -> tuple[Quota, ...]:
    """One quota for each noun that may be anywhere; for the others one per place, and one of 0.

    The last one is for instances that are in none of the noun's places. Of places that overlap,
    the smaller one has what lies in both.

    Args:
        counts: Number asked for of each noun.
        places: How each of them is shared among places; empty if none is.
        frame: Rows and columns of patches.

    Raises:
        TargetError: If places are not those of ``counts``.
    """
    if places and len(places) != len(counts):
        raise TargetError(f"places must be given for {len(counts)} nouns, got {len(places)}")
    quotas: list[Quota] = []
    for noun, count in enumerate(counts):
        parts = places[noun] if places else ()
        if not parts:
            quotas.append(Quota(noun, count))
            continue
        if sum(share for _, share in parts) != count:
            raise TargetError(f"the places of noun {noun} must add up to {count}, got {parts}")
        masks = own_masks([place for place, _ in parts], *frame)
        for (place, share), own in zip(parts, masks, strict=True):
            quotas.append(Quota(noun, share, own, place.phrase))
        quotas.append(Quota(noun, 0, ~np.any(masks, axis=0), "elsewhere"))
    return tuple(quotas)


def members(layout: Layout, quotas: Sequence[Quota]) -> tuple[tuple[int, ...], ...]:
    """Labels of the instances that count towards each quota, rising.

    An instance whose centre is in no quota of its noun at a majority of the frames that it is seen
    in, because it crosses the frame, counts towards the one that has no other place.
    """
    found: list[list[int]] = [[] for _ in quotas]
    everywhere = {quota.noun: at for at, quota in enumerate(quotas) if quota.within is None}
    for label in np.unique(layout.labels[layout.labels > 0]).tolist():
        noun = layout.nouns[label - 1]
        if noun in everywhere:
            found[everywhere[noun]].append(label)
            continue
        centres = track_of(layout, label).centres
        own = [at for at, quota in enumerate(quotas) if quota.noun == noun]
        # Quotas of a noun share no patch, so that one at most has a majority.
        homes = [at for at in own if quotas[at].holds(centres)]
        found[homes[0] if homes else own[-1]].append(label)
    return tuple(tuple(labels) for labels in found)


def in_place(layout: Layout, counts: Sequence[int], places: Sequence[Parts]) -> bool:
    """Whether every place holds what is asked for, and nothing of a placed noun is elsewhere."""
    quotas = quotas_of(counts, places, frame_of(layout))
    placed = [quota.within is not None for quota in quotas]
    held = members(layout, quotas)
    return all(
        len(labels) == quota.count
        for quota, labels, is_placed in zip(quotas, held, placed, strict=True)
        if is_placed
    )


def misplaced(layout: Layout, counts: Sequence[int], places: Sequence[Parts]) -> int:
    """Instances of placed nouns that would have to move: half of what the places are off by."""
    quotas = quotas_of(counts, places, frame_of(layout))
    held = members(layout, quotas)
    off: dict[int, list[int]] = {}
    for quota, labels in zip(quotas, held, strict=True):
        if quota.within is not None:
            off.setdefault(quota.noun, []).append(len(labels) - quota.count)
    return sum(min(_above(each), _above([-one for one in each])) for each in off.values())


def frame_of(layout: Layout) -> tuple[int, int]:
    """Rows and columns of patches."""
    _, rows, columns = layout.labels.shape
    return rows, columns


def centre_patches(centres: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row and column of the patches that centres ``[N, 2]`` lie in.

    The centre of patch ``k`` is at ``k``, so that one halfway between two is in the later one.
    """
    rows, columns = np.floor(centres + 0.5).astype(np.int64).T
    return rows, columns


def _above(differences: Sequence[int]) -> int:
    return sum(max(0, each) for each in differences)
