"""What the sprites pipeline never saw in training: backgrounds of other kinds, and posts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[np.float32]

# Width of a post: narrower than a sprite, so that what passes behind one falls in two.
POST_WIDTH = 10
_POST_COLOUR = (92, 92, 98)


def draw_background(side: int, rng: np.random.Generator) -> Array:
    """A background of a random kind, ``[Y, X, 3]`` in 0..255."""
    kinds = tuple(BACKGROUNDS)
    return BACKGROUNDS[kinds[rng.integers(len(kinds))]](side, rng)


def draw_posts(frames: Array, number: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Put upright posts in front of a clip ``[F, Y, X, 3]``, in place.

    They share the width evenly, from a random place on, and stand still.

    Returns:
        What they hide, ``[Y, X]``.
    """
    side = frames.shape[2]
    hidden = np.zeros(frames.shape[1:3], np.bool_)
    apart = side / number
    first = rng.uniform(0, apart)
    for index in range(number):
        left = int(first + index * apart)
        hidden[:, left : left + POST_WIDTH] = True
    frames[:, hidden] = _POST_COLOUR
    return hidden


def _tiles(side: int, rng: np.random.Generator) -> Array:
    """A floor of two greys in hard-edged squares."""
    first, size = rng.integers(0, 16, size=2), int(rng.integers(12, 21))
    row, column = ((np.arange(side) + shift) // size for shift in first)
    dark = (row[:, None] + column[None, :]) % 2 == 1
    return _coloured(np.where(dark, 1.0, 0.0), (186, 182, 176), (112, 110, 112))


def _bricks(side: int, rng: np.random.Generator) -> Array:
    """A wall: courses of bricks, each with a shade of its own, and bright joints."""
    tall, wide = 14, 28
    down = np.arange(side) + int(rng.integers(tall))
    course = down // tall
    across = np.arange(side)[None, :] + (course % 2)[:, None] * (wide // 2)
    brick = across // wide
    shades = rng.uniform(0.0, 1.0, (course.max() + 1, brick.max() + 1))
    wall = _coloured(shades[course[:, None], brick], (150, 112, 98), (112, 82, 74))
    joint = (down % tall < 2)[:, None] | (across % wide < 2)
    wall[joint] = (190, 184, 176)
    return wall


def _meadow(side: int, rng: np.random.Generator) -> Array:
    """Dull green, with detail of every size, as photographs of plants have it."""
    return _coloured(_detail(side, rng), (128, 146, 104), (72, 92, 62))


def _dusk(side: int, rng: np.random.Generator) -> Array:
    """A steep gradient of strong colour, from orange to violet."""
    angle = rng.uniform(0, 2 * np.pi)
    axis = np.linspace(-1, 1, side)
    ramp = np.sin(angle) * axis[:, None] + np.cos(angle) * axis[None, :]
    return _coloured((ramp / np.abs(ramp).max() + 1) / 2, (232, 158, 106), (92, 78, 136))


BACKGROUNDS: Mapping[str, Callable[[int, np.random.Generator], Array]] = MappingProxyType(
    {"tiles": _tiles, "bricks": _bricks, "meadow": _meadow, "dusk": _dusk}
)


def _detail(side: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Noise whose amplitude falls with its frequency, 0..1."""
    field = np.zeros((side, side))
    for sigma in (1.0, 2.0, 4.0, 8.0, 16.0):
        octave = ndimage.gaussian_filter(rng.standard_normal((side, side)), sigma, mode="wrap")
        field += octave / octave.std()
    return np.asarray(np.clip(0.5 + 0.25 * field / field.std(), 0, 1))


def _coloured(
    mix: NDArray[np.float64], zero: tuple[int, int, int], one: tuple[int, int, int]
) -> Array:
    """From one colour to another, ``[Y, X, 3]``."""
    first, last = np.array(zero, np.float64), np.array(one, np.float64)
    return np.asarray(first + (last - first) * mix[..., None], np.float32)
