"""Sprites and sceneries as arrays: anti-aliased shapes, muted soft textures."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

SPRITE_SIDE = 24
_OVERSAMPLING = 8

Array = NDArray[np.float32]

# Main colours, far apart in the plane that brightness leaves (see counter.py), so that shading and
# soft edges keep the noun.
MAIN_COLOURS: dict[str, tuple[int, int, int]] = {
    "apples": (222, 44, 44),
    "stars": (250, 214, 50),
    "leaves": (58, 184, 68),
    "fish": (46, 206, 214),
    "blue balls": (52, 92, 236),
    "purple balls": (176, 70, 214),
}
WHITE = (250, 250, 250)
INK = (24, 24, 30)
BROWN = (104, 84, 66)
# Side of a body that carries a head, as a share of the sprite's.
_BODY = 0.74

# Upper and lower colour of each scenery: low in chroma, so that no scenery comes near a noun's
# colour.
SCENERY_COLOURS: dict[str, tuple[tuple[int, int, int], tuple[int, int, int]]] = {
    "night": ((22, 24, 40), (52, 56, 78)),
    "sea": ((104, 122, 130), (52, 72, 82)),
    "sand": ((196, 186, 166), (162, 148, 124)),
    "fog": ((176, 179, 182), (132, 136, 140)),
}


@lru_cache(maxsize=64)
def draw_sprite(
    category: str, direction: str, side: int = SPRITE_SIDE, head: bool = False
) -> tuple[Array, Array]:
    """Premultiplied colour ``[Y, X, 3]`` in 0..255 and cover ``[Y, X, 1]`` in 0..1.

    Fish look where they drift. A head sits on top of the body, which is smaller for it; it is the
    same for every category, and in strong contrast to all of them.
    """
    fine = side * _OVERSAMPLING
    axis = (np.arange(fine, dtype=np.float32) + 0.5) / fine * 2 - 1
    y: Array = np.repeat(axis[:, None], fine, axis=1)
    x: Array = y.T
    look = -x if category == "fish" and direction == "left" else x
    layers = _headed(category, look, y) if head else _layers(category, look, y)
    colour = np.zeros((fine, fine, 3), np.float32)
    cover = np.zeros((fine, fine, 1), np.float32)
    for mask, paint in layers:
        colour[mask] = paint
        cover[mask] = 1.0
    shape = (side, _OVERSAMPLING, side, _OVERSAMPLING)
    return colour.reshape(*shape, 3).mean(axis=(1, 3)), cover.reshape(*shape, 1).mean(axis=(1, 3))


def _layers(
    category: str, x: Array, y: Array
) -> list[tuple[NDArray[np.bool_], tuple[int, int, int]]]:
    """Masks and colours from back to front; ``x`` and ``y`` run over -1..1."""
    main = MAIN_COLOURS[category]
    dark, light = _shade(main, 0.78), _tint(main, 0.25)
    if category == "apples":
        body = _disc(x, y, -0.3, 0.18, 0.66, 0.76) | _disc(x, y, 0.3, 0.18, 0.66, 0.76)
        stem = (np.abs(x - 0.05 * y) < 0.09) & (y > -0.95) & (y < -0.42)
        leaf = _disc(x, y, 0.34, -0.78, 0.28, 0.14)
        shine = _disc(x, y, -0.42, -0.1, 0.17, 0.22)
        rim = body & ~_disc(x, y, -0.12, 0.06, 0.92, 0.8)
        return [(body, main), (rim, dark), (stem, BROWN), (leaf, (92, 140, 84)), (shine, WHITE)]
    if category == "stars":
        angle = np.arctan2(x, -(y - 0.06))
        wedge = np.abs((angle / (2 * np.pi / 5) + 0.5) % 1.0 - 0.5) * (2 * np.pi / 5)
        radius = np.hypot(x, y - 0.06)
        tip, notch = 1.04, 0.52
        # The straight edge from a tip (angle 0) to the neighbouring notch (angle pi / 5).
        edge = (
            tip
            * notch
            * np.sin(np.pi / 5)
            / (notch * np.sin(np.pi / 5 - wedge) + tip * np.sin(wedge) + 1e-6)
        )
        body = radius < edge
        core = radius < 0.62 * edge
        eyes = _disc(x, y, -0.17, -0.04, 0.08, 0.13) | _disc(x, y, 0.17, -0.04, 0.08, 0.13)
        return [(body, main), (core, light), (eyes, INK)]
    if category == "leaves":
        along, across = (x - y) / np.sqrt(2), (x + y) / np.sqrt(2)
        body = np.abs(across) < 0.62 * (1 - (along / 1.2) ** 2)
        half = body & (across > 0)
        rib = (np.abs(across) < 0.07) & (np.abs(along) < 0.75)
        return [(body, main), (half, dark), (rib, (168, 214, 150))]
    if category == "fish":
        body = _disc(x, y, 0.2, 0.0, 0.78, 0.56)
        tail = (x < -0.3) & (x > -0.98) & (np.abs(y) < 0.1 + 0.62 * (-0.3 - x) / 0.68)
        belly = body & (y > 0.24)
        eye = _disc(x, y, 0.55, -0.14, 0.17, 0.17)
        pupil = _disc(x, y, 0.6, -0.14, 0.09, 0.09)
        return [(tail, dark), (body, main), (belly, light), (eye, WHITE), (pupil, INK)]
    ball = _disc(x, y, 0.0, 0.0, 0.97, 0.97)
    inner = _disc(x, y, -0.1, -0.12, 0.78, 0.76)
    shine = _disc(x, y, -0.34, -0.38, 0.2, 0.17)
    return [(ball, dark), (inner, main), (shine, WHITE)]


def _headed(
    category: str, x: Array, y: Array
) -> list[tuple[NDArray[np.bool_], tuple[int, int, int]]]:
    """The category's shape as a body, with a head as bright as nothing else in the world."""
    body = _layers(category, x / _BODY, (y - (1 - _BODY)) / _BODY)
    head, face = _disc(x, y, 0.0, -0.58, 0.42, 0.42), _disc(x, y, 0.0, -0.58, 0.35, 0.35)
    eyes = _disc(x, y, -0.14, -0.62, 0.07, 0.1) | _disc(x, y, 0.14, -0.62, 0.07, 0.1)
    return [*body, (head, INK), (face, WHITE), (eyes, INK)]


def _disc(x: Array, y: Array, cx: float, cy: float, rx: float, ry: float) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 < 1
    return inside


def _shade(colour: tuple[int, int, int], factor: float) -> tuple[int, int, int]:
    red, green, blue = (round(part * factor) for part in colour)
    return red, green, blue


def _tint(colour: tuple[int, int, int], share: float) -> tuple[int, int, int]:
    red, green, blue = (round(part + (255 - part) * share) for part in colour)
    return red, green, blue


def draw_scenery(scenery: str, side: int, rng: np.random.Generator) -> Array:
    """A soft vertical gradient with a soft texture over it, ``[Y, X, 3]`` in 0..255."""
    upper, lower = (np.array(colour, np.float32) for colour in SCENERY_COLOURS[scenery])
    tilt = rng.uniform(-0.25, 0.25)
    ramp = np.linspace(0.0, 1.0, side, dtype=np.float32)
    mix = np.clip(ramp[:, None] + np.float32(tilt) * (ramp[None, :] - 0.5), 0.0, 1.0)[..., None]
    texture = _texture(scenery, side)
    shift = rng.integers(0, side, size=2)
    texture = np.roll(texture, (int(shift[0]), int(shift[1])), axis=(0, 1))
    light = np.float32(rng.uniform(-6.0, 6.0))
    scene: Array = upper + (lower - upper) * mix + texture[..., None] + light
    return scene


@lru_cache(maxsize=16)
def _texture(scenery: str, side: int) -> Array:
    """A texture that tiles, in grey levels around 0: long waves at sea, banks of fog."""
    sigmas = {"night": (10.0, 10.0), "sea": (3.0, 16.0), "sand": (5.0, 12.0), "fog": (12.0, 18.0)}
    noise = np.random.default_rng(list(SCENERY_COLOURS).index(scenery)).standard_normal(
        (side, side)
    )
    field = ndimage.gaussian_filter(noise, sigmas[scenery], mode="wrap")
    return (field / field.std() * 5.0).astype(np.float32)
