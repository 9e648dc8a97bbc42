"""The world: what a seed gives stays the same, captions are true, gaps hold."""

import numpy as np
import pytest
from scipy import ndimage

from numina.sprites import CATEGORIES, Scene, prompt_for, render, sample_scene
from numina.sprites.drawing import SCENERY_COLOURS, draw_sprite
from numina.sprites.world import MIN_GAP, NUMBER_WORDS, SCENERIES, SINGULARS, caption_for


def scenes(number: int, seed: int = 0) -> list[Scene]:
    rng = np.random.default_rng(seed)
    return [sample_scene(rng) for _ in range(number)]


def test_the_same_generator_gives_the_same_clip() -> None:
    first, second = (np.random.default_rng(7) for _ in range(2))
    assert sample_scene(first) == sample_scene(second)
    scene = prompt_for(3)
    np.testing.assert_array_equal(render(scene, first), render(scene, second))


def test_a_clip_is_five_frames_of_128_pixels() -> None:
    clip = render(prompt_for(0), np.random.default_rng(0))
    assert clip.shape == (5, 128, 128, 3)
    assert clip.dtype == np.uint8


def test_captions_name_every_group_with_its_count() -> None:
    for scene in scenes(300):
        for category, count in scene.groups:
            noun = SINGULARS[category] if count == 1 else category
            assert f"{NUMBER_WORDS[count - 1]} {noun}" in scene.caption
        for scenery, words in SCENERIES.items():
            assert scenery == scene.scenery or words not in scene.caption
        assert f"drifting {scene.direction}" in scene.caption


def test_a_caption_reads_as_english() -> None:
    groups = (("leaves", 1), ("fish", 1), ("blue balls", 3))
    assert caption_for(groups, "up", "sea") == (
        "a video of one leaf, one fish and three blue balls drifting up at sea"
    )


def test_prompts_are_spread_evenly_over_the_counts() -> None:
    first = [prompt_for(seed).groups[0][1] for seed in range(16)]
    assert sorted(first) == sorted([*range(1, 9)] * 2)
    assert prompt_for(11) == prompt_for(11)


def test_gaps_hold_in_every_frame() -> None:
    rng = np.random.default_rng(1)
    for scene in scenes(20, seed=1):
        # Against a clip of the same scenery without sprites, every sprite pixel differs; parts
        # closer than the gap would merge.
        clip = render(scene, rng)
        masks = _drawn(clip, scene)
        for frame in masks:
            grown = ndimage.binary_dilation(
                frame, np.ones((3, 3), bool), iterations=MIN_GAP // 2 - 1
            )
            assert ndimage.label(grown, np.ones((3, 3)))[1] == scene.total


def _drawn(clip: np.ndarray, scene: Scene) -> np.ndarray:
    spread = clip.astype(int).max(axis=-1) - clip.astype(int).min(axis=-1)
    return spread > 75


def test_all_sprites_drift_in_the_captioned_direction() -> None:
    rng = np.random.default_rng(2)
    for scene in scenes(12, seed=2):
        masks = _drawn(render(scene, rng), scene)
        centres = np.array([ndimage.center_of_mass(mask) for mask in masks])
        drift = centres[-1] - centres[0]
        axis, sign = {"left": (1, -1), "right": (1, 1), "up": (0, -1), "down": (0, 1)}[
            scene.direction
        ]
        assert 6 <= sign * drift[axis] <= 18
        assert abs(drift[1 - axis]) < 2


@pytest.mark.parametrize("category", CATEGORIES)
def test_a_sprite_is_one_part_and_fills_its_square(category: str) -> None:
    _, cover = draw_sprite(category, "right")
    solid = cover[..., 0] > 0.5
    assert ndimage.label(solid, np.ones((3, 3)))[1] == 1
    rows, columns = np.where(solid)
    assert np.ptp(rows) >= 11
    assert np.ptp(columns) >= 15


def test_sceneries_are_muted() -> None:
    for colours in SCENERY_COLOURS.values():
        for colour in colours:
            assert max(colour) - min(colour) < 45


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"direction": "north"}, "direction must be one of"),
        ({"scenery": "moon"}, "scenery must be one of"),
        ({"groups": (("boxes", 1),)}, "a group must be one of"),
        ({"groups": (("apples", 8), ("stars", 1))}, "1 to 8 sprites in all"),
    ],
)
def test_a_scene_refuses_what_the_world_lacks(changes: dict[str, object], message: str) -> None:
    fields = {"caption": "", "direction": "up", "scenery": "fog", "groups": (("apples", 1),)}
    with pytest.raises(ValueError, match=message):
        Scene(**{**fields, **changes})  # type: ignore[arg-type]
