"""The sprites world: captioned clips of countable drifting sprites, exact by construction.

A clip is five RGB frames of 128 by 128 pixels. Every noun has one main colour and one shape; all
sprites of a clip drift together in the captioned direction, so that the gaps between them never
change. Nothing here is learnt, and everything depends on the generator that is handed in.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from numina.sprites.arrangement import arrange
from numina.sprites.drawing import SPRITE_SIDE, draw_scenery, draw_sprite

FRAME_SIDE = 128
NUM_FRAMES = 5
MIN_GAP = 6
SPEEDS = (2, 3, 4)
MAX_COUNT = 8
MAX_TOTAL = 8

SINGULARS = {
    "apples": "apple",
    "stars": "star",
    "leaves": "leaf",
    "fish": "fish",
    "blue balls": "blue ball",
    "purple balls": "purple ball",
}
CATEGORIES = tuple(SINGULARS)
NUMBER_WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight")
# Unit steps in rows and columns.
DIRECTIONS = {"left": (0, -1), "right": (0, 1), "up": (-1, 0), "down": (1, 0)}
SCENERIES = {"night": "in the night", "sea": "at sea", "sand": "over sand", "fog": "in fog"}
PREFIXES = ("", "a video of ")

# Share of scenes with one, two and three nouns, where the total leaves room for them.
_GROUP_SHARES = (0.4, 0.42, 0.18)


@dataclass(frozen=True)
class Scene:
    """What a clip shows, and the caption that says so.

    Attributes:
        caption: The whole prompt; always true of the clip.
        direction: Key of `DIRECTIONS`.
        scenery: Key of `SCENERIES`; the caption may leave it unsaid.
        groups: Category and count of each noun, in the order of the caption.
    """

    caption: str
    direction: str
    scenery: str
    groups: tuple[tuple[str, int], ...]

    def __post_init__(self) -> None:
        if self.direction not in DIRECTIONS:
            raise ValueError(
                f"direction must be one of {tuple(DIRECTIONS)}, got {self.direction!r}"
            )
        if self.scenery not in SCENERIES:
            raise ValueError(f"scenery must be one of {tuple(SCENERIES)}, got {self.scenery!r}")
        for category, count in self.groups:
            if category not in SINGULARS or not 1 <= count <= MAX_COUNT:
                raise ValueError(
                    f"a group must be one of {CATEGORIES} with a count of 1 to {MAX_COUNT}, "
                    f"got {category!r}: {count}"
                )
        if not 1 <= self.total <= MAX_TOTAL:
            raise ValueError(f"groups must hold 1 to {MAX_TOTAL} sprites in all, got {self.total}")

    @property
    def total(self) -> int:
        """Sprites in every frame."""
        return sum(count for _, count in self.groups)

    @property
    def counts(self) -> dict[str, int]:
        """Count of each noun in the caption."""
        return dict(self.groups)


def caption_for(
    groups: tuple[tuple[str, int], ...],
    direction: str,
    scenery: str | None = None,
    prefix: str = "a video of ",
) -> str:
    """Write a caption such as "a video of two apples and one star drifting left at sea"."""
    nouns = [
        f"{NUMBER_WORDS[count - 1]} {SINGULARS[category] if count == 1 else category}"
        for category, count in groups
    ]
    listed = " and ".join([", ".join(nouns[:-1]), nouns[-1]]) if len(nouns) > 1 else nouns[0]
    place = f" {SCENERIES[scenery]}" if scenery else ""
    return f"{prefix}{listed} drifting {direction}{place}"


def sample_scene(rng: np.random.Generator) -> Scene:
    """Draw a scene: the first noun's count is uniform in 1..8, the others share the rest."""
    first = int(rng.integers(1, MAX_COUNT + 1))
    wanted = int(rng.choice(3, p=_GROUP_SHARES)) + 1
    number = min(wanted, 1 + MAX_TOTAL - first)
    categories = rng.permutation(len(CATEGORIES))[:number]
    counts = [first]
    for later in range(number - 1, 0, -1):
        room = MAX_TOTAL - sum(counts) - (later - 1)
        counts.append(int(rng.integers(1, room + 1)))
    groups = tuple(
        (CATEGORIES[category], count) for category, count in zip(categories, counts, strict=True)
    )
    direction = tuple(DIRECTIONS)[rng.integers(len(DIRECTIONS))]
    scenery = tuple(SCENERIES)[rng.integers(len(SCENERIES))]
    named = scenery if rng.random() < 0.5 else None
    prefix = PREFIXES[rng.integers(len(PREFIXES))]
    return Scene(caption_for(groups, direction, named, prefix), direction, scenery, groups)


def prompt_for(seed: int) -> Scene:
    """The evaluation scene of a seed: nothing but the seed decides it.

    Eight seeds in a row carry the counts 1 to 8 of the first noun once each, so that a suite of
    consecutive seeds is spread evenly over the counts.
    """
    if seed < 0:
        raise ValueError(f"seed must be 0 or more, got {seed}")
    first = seed % MAX_COUNT + 1
    rng = np.random.default_rng((20260407, seed))
    scene = sample_scene(rng)
    while scene.groups[0][1] != first:
        scene = sample_scene(rng)
    return scene


def render(scene: Scene, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw a clip ``[F, Y, X, 3]``; places, speed and the scenery's texture come from `rng`."""
    step = np.array(DIRECTIONS[scene.direction]) * SPEEDS[rng.integers(len(SPEEDS))]
    background = draw_scenery(scene.scenery, FRAME_SIDE, rng)
    low, high = corner_range((int(step[0]), int(step[1])))
    corners = arrange(scene.total, low, high, SPRITE_SIDE + MIN_GAP, rng)
    names = [category for category, count in scene.groups for _ in range(count)]
    frames = np.repeat(background[None], NUM_FRAMES, axis=0)
    for category, corner in zip(names, corners, strict=True):
        colour, cover = draw_sprite(category, scene.direction)
        for frame in range(NUM_FRAMES):
            row, column = corner + step * pose_of(frame)
            window = frames[frame, row : row + SPRITE_SIDE, column : column + SPRITE_SIDE]
            window *= 1.0 - cover
            window += colour
    return np.clip(np.rint(frames), 0, 255).astype(np.uint8)


def pose_of(frame: int) -> int:
    """The frame whose pose a frame shows: 0, 2, 2, 4, 4.

    Clips are animated on twos, as hand-drawn film is, because the autoencoder keeps one picture for
    every two frames after the first.
    """
    return (frame + 1) // 2 * 2


@lru_cache(maxsize=64)
def corner_range(
    step: tuple[int, int], side: int = SPRITE_SIDE
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Lowest and highest corner of a sprite of some side that drifts by `step` a frame."""
    drift = [part * (NUM_FRAMES - 1) for part in step]
    low = tuple(max(0, -part) for part in drift)
    high = tuple(FRAME_SIDE - side - max(0, part) for part in drift)
    return (low[0], low[1]), (high[0], high[1])
