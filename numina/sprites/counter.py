"""The exact counter of the sprites world: connected parts of each noun's colour."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from numina.sprites.drawing import MAIN_COLOURS
from numina.sprites.world import SINGULARS

# Smaller parts are crumbs: the smallest whole sprite, the star, covers about 140 pixels.
AREA_FLOOR = 50

# Brightness is left out: these two axes span the colours that shading and grey sceneries do not
# change.
_CHROMA_AXES = np.array([[1, -1, 0], [1, 1, -2]], np.float32) / np.sqrt(
    np.array([[2], [6]], np.float32)
)
_PALETTE = np.array([(0, 0, 0), *MAIN_COLOURS.values()], np.float32) @ _CHROMA_AXES.T
_EIGHT_CONNECTED = np.ones((3, 3), dtype=np.int64)


def instance_masks(
    frames: NDArray[Any], area_floor: int = AREA_FLOOR
) -> dict[str, NDArray[np.int32]]:
    """Number the sprites of each category in each frame.

    A pixel belongs to the category whose main colour is nearest in chroma, or to the scenery where
    grey is nearer; a sprite is an 8-connected part of at least `area_floor` pixels.

    Args:
        frames: ``[F, Y, X, 3]``, uint8, or floating point in 0..1.
        area_floor: Pixels a sprite must have.

    Returns:
        For each category an array ``[F, Y, X]``: 0 for none, then 1, 2, ... anew in each frame.
    """
    nearest = _nearest_colours(frames)
    masks = {}
    for index, category in enumerate(MAIN_COLOURS, start=1):
        labels = np.zeros(nearest.shape, np.int32)
        for frame in np.flatnonzero((nearest == index).sum(axis=(1, 2)) >= area_floor):
            parts, _ = ndimage.label(nearest[frame] == index, structure=_EIGHT_CONNECTED)
            areas = np.bincount(parts.ravel())
            kept = areas >= area_floor
            kept[0] = False
            labels[frame] = (np.cumsum(kept) * kept)[parts]
        masks[category] = labels
    return masks


def count_sprites(
    frames: NDArray[Any], area_floor: int = AREA_FLOOR
) -> dict[str, NDArray[np.int64]]:
    """Sprites of each category in each frame, ``[F]``; arguments as for `instance_masks`."""
    return {
        category: labels.max(axis=(1, 2)).astype(np.int64)
        for category, labels in instance_masks(frames, area_floor).items()
    }


def category_of(phrase: str) -> str:
    """The category a phrase ends in, singular or plural: "one blue ball" gives "blue balls"."""
    words = phrase.lower().split()
    for category, singular in SINGULARS.items():
        for name in (category.split(), singular.split()):
            if words[-len(name) :] == name:
                return category
    raise ValueError(f"phrase must end in one of {tuple(SINGULARS)}, got {phrase!r}")


def count_phrase(
    frames: NDArray[Any], phrase: str, area_floor: int = AREA_FLOOR
) -> NDArray[np.int64]:
    """Sprites that a phrase such as "apples" or "blue balls" names, in each frame, ``[F]``."""
    return count_sprites(frames, area_floor)[category_of(phrase)]


def _nearest_colours(frames: NDArray[Any]) -> NDArray[np.int64]:
    frames = np.asarray(frames)
    if frames.ndim != 4 or frames.shape[-1] != 3:
        raise ValueError(f"frames must be [F, Y, X, 3], got {frames.shape}")
    scale = 1.0 if frames.dtype == np.uint8 else 255.0
    chroma = (frames.astype(np.float32) * np.float32(scale)) @ _CHROMA_AXES.T
    distance = ((chroma[..., None, :] - _PALETTE) ** 2).sum(axis=-1)
    return distance.argmin(axis=-1)
