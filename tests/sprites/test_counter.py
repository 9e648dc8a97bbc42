"""The counter makes no error on true clips and names what it cannot read."""

import numpy as np
import pytest

from numina.sprites import (
    category_of,
    count_phrase,
    count_sprites,
    instance_masks,
    prompt_for,
    render,
)
from numina.sprites.fidelity import measure_fidelity
from numina.sprites.world import Scene, caption_for


@pytest.mark.slow
def test_two_hundred_true_clips_are_counted_without_an_error() -> None:
    assert measure_fidelity(None, clips=200).wrong_true_clips == 0


def test_a_lost_sprite_is_missed_in_its_frame_only() -> None:
    scene = prompt_for(2)
    category, count = scene.groups[0]
    clip = render(scene, np.random.default_rng(0))
    mask = instance_masks(clip)[category][3] == 1
    rows, columns = np.where(mask)
    clip[3, rows.min() - 1 : rows.max() + 2, columns.min() - 1 : columns.max() + 2] = 128
    assert count_sprites(clip)[category].tolist() == [count, count, count, count - 1, count]


def test_masks_number_sprites_from_one_and_do_not_overlap() -> None:
    scene = prompt_for(4)
    masks = instance_masks(render(scene, np.random.default_rng(0)))
    for category, count in scene.groups:
        assert np.unique(masks[category][0]).tolist() == list(range(count + 1))
    assert (sum((labels > 0).astype(int) for labels in masks.values()) <= 1).all()


def test_floating_point_frames_count_the_same() -> None:
    clip = render(prompt_for(5), np.random.default_rng(0))
    for category, counts in count_sprites(clip / 255).items():
        np.testing.assert_array_equal(counts, count_sprites(clip)[category])


def test_balls_of_two_colours_are_told_apart() -> None:
    groups = (("blue balls", 2), ("purple balls", 3))
    scene = Scene(caption_for(groups, "left"), "left", "sea", groups)
    clip = render(scene, np.random.default_rng(0))
    assert count_phrase(clip, "two blue balls").tolist() == [2] * 5
    assert count_phrase(clip, "purple balls").tolist() == [3] * 5


@pytest.mark.parametrize(
    ("phrase", "category"),
    [
        ("three apples", "apples"),
        ("one leaf", "leaves"),
        ("blue ball", "blue balls"),
        ("Fish", "fish"),
    ],
)
def test_phrases_name_their_category(phrase: str, category: str) -> None:
    assert category_of(phrase) == category


def test_unknown_phrases_and_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="phrase must end in one of"):
        category_of("red balls")
    with pytest.raises(ValueError, match=r"frames must be \[F, Y, X, 3\]"):
        count_sprites(np.zeros((128, 128, 3), np.uint8))
