"""Hard worlds: each has its hardship and no other, and what a clip shows is known to the pixel."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from numina.sprites.counter import instance_masks
from numina.sprites.drawing import SPRITE_SIDE
from numina.sprites.hard_worlds import WORLDS, hard_scene, render_known
from numina.sprites.unseen_drawing import BACKGROUNDS
from numina.sprites.world import SCENERIES, render

pytestmark = pytest.mark.slow

SEEDS = range(12)


def clips(name, seeds=SEEDS):
    world = WORLDS[name]
    for seed in seeds:
        scene = hard_scene(world, seed)
        yield scene, render_known(world, scene, np.random.default_rng(seed))


def instances(clip, frame=0):
    """Masks of all sprites that are to be seen in a frame, ``[Y, X]`` each."""
    return [
        mask[frame] == number
        for mask in clip.masks
        for number in np.unique(mask[frame][mask[frame] > 0])
    ]


def pieces(mask):
    return ndimage.label(mask, structure=np.ones((3, 3)))[1]


def test_the_ordinary_world_is_the_one_that_the_model_knows():
    for seed, (scene, clip) in zip(SEEDS, clips("ordinary"), strict=True):
        np.testing.assert_array_equal(clip.frames, render(scene, np.random.default_rng(seed)))
        exact = instance_masks(clip.frames)
        for (noun, count), mask in zip(scene.groups, clip.masks, strict=True):
            assert mask.max() == exact[noun].max() == count
            # Stems, eyes and shine are part of a sprite, though not of its colour.
            assert (mask > 0)[exact[noun] > 0].mean() > 0.9


@pytest.mark.parametrize("name", WORLDS)
def test_every_sprite_is_to_be_seen_in_every_frame_under_one_number(name):
    for scene, clip in clips(name, range(16)):
        assert len(clip.masks) == len(scene.groups)
        for (_, count), mask in zip(scene.groups, clip.masks, strict=True):
            for frame in mask:
                assert np.unique(frame).tolist() == list(range(count + 1))


def test_worlds_beside_each_other_show_the_same_scenes_one_by_one():
    for name, world in WORLDS.items():
        beside = WORLDS[world.beside]
        scenes = [hard_scene(world, seed) for seed in SEEDS]
        assert scenes == [hard_scene(beside, seed) for seed in SEEDS], name
        assert [s.groups[0][1] for s in scenes] == [seed % world.most + 1 for seed in SEEDS]
        assert all(scene.total <= world.most for scene in scenes)
        assert not any(place in s.caption for s in scenes for place in SCENERIES.values())


@pytest.mark.parametrize("name", ["touching", "overlapping"])
def test_sprites_of_a_crowd_touch(name):
    sprites = together = shown = whole = 0
    for (scene, clip), (_, spread) in zip(clips(name), clips("ordinary"), strict=True):
        crowd = instances(clip)
        sprites += scene.total
        together += pieces(ndimage.binary_dilation(np.any(crowd, axis=0)))
        shown += sum(mask.sum() for mask in crowd)
        whole += sum(mask.sum() for mask in instances(spread))
    assert together < 0.5 * sprites
    low, high = (0.95, 1.0) if name == "touching" else (0.6, 0.9)
    assert low * whole < shown < high * whole


def test_posts_part_sprites_in_two():
    torn = [pieces(mask) for _, clip in clips("posts") for mask in instances(clip)]
    whole = [pieces(mask) for _, clip in clips("ordinary") for mask in instances(clip)]
    assert max(whole) == 1
    assert sum(number == 2 for number in torn) > len(torn) / 6


def test_unseen_backgrounds_change_the_background_alone():
    for (_, clip), (_, usual) in zip(clips("backgrounds"), clips("ordinary"), strict=True):
        assert [m.max() for m in clip.masks] == [m.max() for m in usual.masks]
        outside = ~np.any(instances(clip) + instances(usual), axis=0)
        apart = np.abs(clip.frames[0].astype(int) - usual.frames[0])[outside]
        assert apart.mean() > 10
    drawn = [draw(64, np.random.default_rng(0)) for draw in BACKGROUNDS.values()]
    for background in drawn:
        assert background.shape == (64, 64, 3)
        assert 0 <= background.min() < background.max() <= 255


def test_what_is_fast_moves_by_its_own_side_from_one_latent_frame_to_the_next():
    for name, low, high in (("few", 4, 8), ("fast", SPRITE_SIDE, 1.1 * SPRITE_SIDE)):
        for _, clip in clips(name):
            centres = [ndimage.center_of_mass(clip.masks[0][frame] == 1) for frame in (0, 2, 4)]
            moves = np.hypot(*np.diff(centres, axis=0).T)
            assert ((moves > low - 1) & (moves < high + 1)).all()


def test_a_head_is_of_another_colour_and_part_of_its_sprite():
    for (_, clip), (_, headless) in zip(clips("heads"), clips("large"), strict=True):
        for mask, plain in zip(instances(clip), instances(headless), strict=True):
            pale = clip.frames[0][mask].min(axis=-1) > 235
            assert 0.1 < pale.mean() < 0.5
            assert (headless.frames[0][plain].min(axis=-1) > 235).mean() < 0.06
            assert pieces(mask) == 1


def test_a_world_without_room_is_refused():
    with pytest.raises(ValueError, match="8 sprites need 166 pixels along their drift, of 128"):
        replace(WORLDS["ordinary"], side=30, speeds=(16,))
    with pytest.raises(ValueError, match="most must be 1 to 8, got 9"):
        replace(WORLDS["ordinary"], most=9)
    with pytest.raises(ValueError, match="posts not negative"):
        replace(WORLDS["ordinary"], posts=-1)
    with pytest.raises(ValueError, match="seed must be 0 or more, got -1"):
        hard_scene(WORLDS["few"], -1)
