"""Where the sprites of a scene stand: spread evenly over the frame, each noun's own together.

A scene is composed as a picture is: its sprites share the room, and those of one noun keep each
other company. How many there are is then told by the distances between them as well as by their
number.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Steps of Lloyd's relaxation from random places, and the pixels by which every sprite then strays.
RELAXATIONS = 8
STRAY = 4.0
# Points of the room along each axis that are dealt out to the sprites in every relaxation.
_LATTICE = 16

Points = NDArray[np.float64]


def arrange(
    number: int,
    low: tuple[int, int],
    high: tuple[int, int],
    distance: int,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Places ``[N, 2]`` in the box ``low..high``, at least `distance` apart in rows or in columns.

    They come in the order in which a line of random slope passes over them, so that consecutive
    ones are neighbours.
    """
    bottom, size = np.array(low, np.float64), np.array(high, np.float64) - low
    axis = (np.arange(_LATTICE) + 0.5) / _LATTICE
    room = bottom + size * np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    while True:
        points = bottom + size * rng.random((number, 2))
        for _ in range(RELAXATIONS):
            points = _relaxed(points, room)
        points = points + rng.uniform(-STRAY, STRAY, points.shape)
        places = np.clip(np.rint(points), low, high).astype(np.int64)
        gaps = np.abs(places[:, None] - places[None]).max(axis=-1)
        if (gaps[np.triu_indices(number, 1)] >= distance).all():
            angle = rng.random() * 2 * np.pi
            return places[np.argsort(places @ np.array([np.sin(angle), np.cos(angle)]))]


def _relaxed(points: Points, room: Points) -> Points:
    """Each point moved to the middle of the part of the room that lies nearest to it."""
    nearest = ((room[:, None] - points[None]) ** 2).sum(axis=-1).argmin(axis=1)
    shares = np.bincount(nearest, minlength=len(points))
    sums = np.stack([np.bincount(nearest, room[:, i], len(points)) for i in (0, 1)], -1)
    return np.where(shares[:, None] > 0, sums / np.maximum(shares, 1)[:, None], points)
