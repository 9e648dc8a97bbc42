"""How large the instances of a crowd are: what the frame has room for, shared among all of them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

# Up to so many instances in all, `PlacementSpec.scales` alone decide: they were chosen on prompts
# with counts of 1 to 8. Above, instances get smaller the fuller the frame is.
LARGEST_GROUP = 8
# Patches along each side of the smallest instance that is ever made smaller. One patch would be
# below what models draw: a latent or two in each direction.
SMALLEST_SIDE = 2


def crowd_scales(
    occupied: NDArray[np.bool_],
    shapes: Sequence[NDArray[np.bool_]],
    counts: Sequence[int],
    gap: int,
) -> tuple[float, ...]:
    """Factors on the sides of the shapes, falling, from the first one that the area allows.

    Two instances are more than ``gap`` patches apart exactly if they do not meet when each is
    drawn out by ``gap`` patches down and to the right. So in every frame of ``Y x X`` patches, with
    ``A(.)`` the area after drawing out,

        A(occupied) + sum_i counts_i A(scale * shapes_i) <= (Y + gap) (X + gap)

    is needed, and what breaks it is not tried. Whether the places can be found as well is up to
    ``place``. The last factor is the one at which no side has more than ``SMALLEST_SIDE`` patches.

    Args:
        occupied: Patches of all instances that are there, ``[F, Y, X]``.
        shapes: What is copied, ``[h, w]`` each.
        counts: Copies of each.
        gap: Free patches between two instances.

    Returns:
        At least one factor in (0, 1].
    """
    rows, columns = occupied.shape[1:]
    room = (rows + gap) * (columns + gap) - max(_drawn_out(frame, gap) for frame in occupied)
    factors = {
        min(1.0, patches / side)
        for shape in shapes
        for side in shape.shape
        for patches in range(SMALLEST_SIDE, side + 1)
    }
    smallest = SMALLEST_SIDE / max(max(shape.shape) for shape in shapes)
    ladder = sorted(factors | {min(1.0, smallest)}, reverse=True)
    affordable = [
        factor
        for factor in ladder[:-1]
        if sum(
            count * _drawn_out(scaled(shape, factor), gap)
            for shape, count in zip(shapes, counts, strict=True)
        )
        <= room
    ]
    return (*affordable, ladder[-1])


def scaled(footprint: NDArray[np.bool_], factor: float) -> NDArray[np.bool_]:
    """The footprint with its sides times ``factor``, at most 1; none shrinks below the smallest."""
    sides = [max(min(side, SMALLEST_SIDE), round(side * factor)) for side in footprint.shape]
    # Midpoints of the new rows and columns, read from the old ones.
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(np.int64)
        for new, old in zip(sides, footprint.shape, strict=True)
    )
    smaller = footprint[np.ix_(rows, columns)]
    return smaller if smaller.any() else np.ones_like(smaller)


def _drawn_out(mask: NDArray[np.bool_], gap: int) -> int:
    """Area of a mask ``[Y, X]`` after it is drawn out by ``gap`` patches down and to the right."""
    reach = np.zeros((2 * gap + 1, 2 * gap + 1), bool)
    reach[gap:, gap:] = True
    wide = np.pad(mask, ((0, gap), (0, gap)))
    return int(ndimage.binary_dilation(wide, reach).sum())
