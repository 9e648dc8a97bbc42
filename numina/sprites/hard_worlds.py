"""Worlds that are hard to count in: sprites as the model knows them, but for one hardship each.

A clip of any of them is rendered, so that its truth is known to the pixel, what hides what
included. The model was trained on none but the ordinary world.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from numina.sprites.arrangement import arrange
from numina.sprites.drawing import SPRITE_SIDE, draw_scenery, draw_sprite
from numina.sprites.unseen_drawing import draw_background, draw_posts
from numina.sprites.world import (
    DIRECTIONS,
    FRAME_SIDE,
    MAX_TOTAL,
    MIN_GAP,
    NUM_FRAMES,
    SPEEDS,
    Scene,
    caption_for,
    corner_range,
    pose_of,
    sample_scene,
)


@dataclass(frozen=True)
class HardWorld:
    """How a world departs from the ordinary one; by default it does not.

    Attributes:
        beside: The world whose scenes it shares, one by one, without its hardship.
        most: Sprites of a scene at most.
        side: Pixels of a sprite's side.
        spacing: Pixels from one sprite of a crowd to the next; None spreads them over the frame.
        speeds: Pixels a frame, one of which all sprites of a clip have.
        head: Whether the sprites have a head of another colour than their own.
        posts: Posts in front of the scene.
        unseen_background: Whether the background is of a kind that the model never saw.
    """

    beside: str = "ordinary"
    most: int = MAX_TOTAL
    side: int = SPRITE_SIDE
    spacing: int | None = None
    speeds: tuple[int, ...] = SPEEDS
    head: bool = False
    posts: int = 0
    unseen_background: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.most <= MAX_TOTAL:
            raise ValueError(f"most must be 1 to {MAX_TOTAL}, got {self.most}")
        if self.side < 1 or self.posts < 0 or not self.speeds:
            raise ValueError(
                f"side must be positive, posts not negative and speeds name one, got {self}"
            )
        drift = (NUM_FRAMES - 1) * max(self.speeds)
        across = math.ceil(math.sqrt(self.most))
        needed = drift + self.side + (across - 1) * (self.spacing or self.side + MIN_GAP)
        if needed > FRAME_SIDE:
            raise ValueError(
                f"{self.most} sprites need {needed} pixels along their drift, of {FRAME_SIDE}; "
                "use fewer, smaller or slower ones"
            )


_FEW = HardWorld(beside="few", most=4)
WORLDS: Mapping[str, HardWorld] = MappingProxyType(
    {
        "ordinary": HardWorld(),
        "touching": HardWorld(spacing=SPRITE_SIDE - 2),
        "overlapping": HardWorld(spacing=SPRITE_SIDE * 2 // 3),
        "posts": HardWorld(posts=4),
        "backgrounds": HardWorld(unseen_background=True),
        "few": _FEW,
        "fast": HardWorld(beside="few", most=4, speeds=(12, 13)),
        "large": HardWorld(beside="few", most=4, side=36),
        "heads": HardWorld(beside="large", most=4, side=36, head=True),
    }
)


@dataclass(frozen=True, eq=False)
class KnownClip:
    """A rendered clip and all that it shows.

    Attributes:
        frames: ``[F, Y, X, 3]`` uint8.
        masks: What is to be seen of every sprite, for each noun of the scene ``[F, Y, X]`` int32:
            0 for none, then 1, 2, …, the same number for the same sprite in every frame.
    """

    frames: NDArray[np.uint8]
    masks: tuple[NDArray[np.int32], ...]


def hard_scene(world: HardWorld, seed: int) -> Scene:
    """The scene of a seed, the same in all worlds with the same ``most``.

    Seeds in a row carry the counts 1 to ``most`` of the first noun once each. The caption leaves
    the scenery unsaid, because some worlds have none of those that captions can name.
    """
    if seed < 0:
        raise ValueError(f"seed must be 0 or more, got {seed}")
    rng = np.random.default_rng((20260518, seed))
    while True:
        scene = sample_scene(rng)
        if scene.total <= world.most and scene.groups[0][1] == seed % world.most + 1:
            caption = caption_for(scene.groups, scene.direction)
            return Scene(caption, scene.direction, scene.scenery, scene.groups)


def render_known(world: HardWorld, scene: Scene, rng: np.random.Generator) -> KnownClip:
    """Draw a clip of a world; in the ordinary one it is that of `numina.sprites.world.render`."""
    step = np.array(DIRECTIONS[scene.direction]) * world.speeds[rng.integers(len(world.speeds))]
    if world.unseen_background:
        background = draw_background(FRAME_SIDE, rng)
    else:
        background = draw_scenery(scene.scenery, FRAME_SIDE, rng)
    low, high = corner_range((int(step[0]), int(step[1])), world.side)
    if world.spacing is None:
        corners = arrange(scene.total, low, high, world.side + MIN_GAP, rng)
    else:
        corners = _crowd(scene.total, low, high, world.spacing, rng)
    names = [category for category, count in scene.groups for _ in range(count)]
    frames = np.repeat(background[None], NUM_FRAMES, axis=0)
    owners = np.zeros(frames.shape[:3], np.int32)
    for index, (category, corner) in enumerate(zip(names, corners, strict=True), 1):
        colour, cover = draw_sprite(category, scene.direction, world.side, world.head)
        for frame in range(NUM_FRAMES):
            row, column = corner + step * pose_of(frame)
            place = frame, slice(row, row + world.side), slice(column, column + world.side)
            frames[place] *= 1.0 - cover
            frames[place] += colour
            owners[place][cover[..., 0] > 0.5] = index
    if world.posts:
        owners[:, draw_posts(frames, world.posts, rng)] = 0
    return KnownClip(np.clip(np.rint(frames), 0, 255).astype(np.uint8), _masks(owners, scene))


def _crowd(
    number: int,
    low: tuple[int, int],
    high: tuple[int, int],
    spacing: int,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Corners ``[N, 2]`` of a crowd: rows as square as can be, at a random place in the box."""
    across = math.ceil(math.sqrt(number))
    cells = np.array([divmod(index, across) for index in range(number)]) * spacing
    room = np.array(high) - low - cells.max(axis=0)
    return cells + low + rng.integers(0, room + 1)


def _masks(owners: NDArray[np.int32], scene: Scene) -> tuple[NDArray[np.int32], ...]:
    masks, before = [], 0
    for _, count in scene.groups:
        mine = (owners > before) & (owners <= before + count)
        masks.append(np.where(mine, owners - before, 0).astype(np.int32))
        before += count
    return tuple(masks)
