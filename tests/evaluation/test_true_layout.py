"""The controls: the true layout on the grid of patches, and the same one in wrong places."""

from types import SimpleNamespace

import numpy as np
import pytest

from numina.evaluation.failure import EvaluationError
from numina.evaluation.true_layout import grid_of, misplaced, true_layout, true_tracks
from numina.identify.tracks import Tracks
from numina.layout import Layout
from numina.sprites.counter import instance_masks
from numina.sprites.world import prompt_for, render
from numina.video import VideoGrid

GRID = VideoGrid(3, 16, 16)


def drifting(side: int = 16, step: int = 4, frames: int = 5) -> np.ndarray:
    """One square that starts at row 32 and column 32, numbered anew in each frame."""
    masks = np.zeros((frames, 128, 128), np.int32)
    for frame in range(frames):
        column = 32 + step * frame
        masks[frame, 32 : 32 + side, column : column + side] = 1
    return masks


def test_the_grid_is_that_of_the_transformer():
    pipe = SimpleNamespace(
        transformer=SimpleNamespace(config=SimpleNamespace(patch_size=(1, 2, 2))),
        vae_scale_factor_spatial=4,
        vae_scale_factor_temporal=2,
    )
    assert grid_of(pipe, np.zeros((5, 128, 64, 3))) == VideoGrid(3, 16, 8)


def test_a_square_covers_the_patches_that_it_covers_by_a_quarter():
    layout = true_layout([drifting(step=0)], GRID)
    expected = np.zeros(GRID.shape, np.int16)
    expected[:, 4:6, 4:6] = 1
    np.testing.assert_array_equal(layout.labels, expected)
    assert layout.nouns == (0,)


def test_frames_that_share_a_latent_frame_share_its_patches():
    layout = true_layout([drifting(step=4)], GRID)
    # Columns 32, 36 and 40, 44 and 48 with a width of 16: patches 4-5, 4-7, 5-7.
    assert [np.flatnonzero(frame[4]).tolist() for frame in layout.labels] == [
        [4, 5],
        [4, 5, 6],
        [5, 6, 7],
    ]


def test_tracked_instances_keep_their_number_however_far_they_jump_and_however_briefly_they_show():
    masks = np.zeros((5, 128, 128), np.int32)
    for frame, column in enumerate((0, 40, 40, 80, 80)):
        masks[frame, 32:48, column : column + 16] = 3
    masks[0, 96:112, 96:112] = 1
    layout = true_layout([np.zeros_like(masks), masks], GRID, tracked=True)
    assert layout.nouns == (1, 1)
    runner = layout.labels[0, 4, 0]
    assert [frame[4].tolist().index(runner) for frame in layout.labels] == [0, 5, 10]
    assert layout.count_per_frame(1).tolist() == [2, 1, 1]
    # Without its number a lone jump is another object each time, and none is there for long.
    assert true_layout([np.zeros_like(masks), masks], GRID).count(1) == 0


def test_one_object_has_one_label_whatever_its_number_in_each_frame():
    first, second = drifting(step=0), np.roll(drifting(step=0), 48, axis=1)
    masks = first + 2 * second
    masks[2:] = 2 * first[2:] + second[2:]  # the numbers change places
    layout = true_layout([masks], GRID)
    assert layout.count(0) == 2
    assert (layout.labels[:, 4, 4] == layout.labels[0, 4, 4]).all()
    assert (layout.labels[:, 10, 4] == layout.labels[0, 10, 4]).all()


def test_a_crumb_below_a_quarter_of_every_patch_still_counts():
    masks = np.zeros((5, 128, 128), np.int32)
    masks[:, 39:41, 39:41] = 1  # four pixels, one in each of four patches
    assert true_layout([masks], GRID).count(0) == 1


def test_an_object_seen_in_two_frames_of_five_does_not_count():
    masks = drifting(step=0)
    masks[2:] = 0
    assert true_layout([masks], GRID).count(0) == 0


def test_frames_that_do_not_divide_into_the_grid_are_refused():
    with pytest.raises(EvaluationError, match="do not divide"):
        true_layout([drifting(frames=4)], GRID)
    with pytest.raises(EvaluationError, match="do not divide"):
        true_layout([drifting()], VideoGrid(3, 15, 16))


@pytest.mark.parametrize("seed", range(0, 40, 5))
def test_true_clips_have_the_layout_that_their_caption_names(seed):
    scene = prompt_for(seed)
    found = instance_masks(render(scene, np.random.default_rng(seed)))
    layout = true_layout([found[category] for category, _ in scene.groups], GRID)
    for noun, (_, count) in enumerate(scene.groups):
        assert layout.count(noun) == count
        assert (layout.count_per_frame(noun) == count).all()


def test_misplaced_keeps_the_instances_and_leaves_their_places():
    layout = true_layout([drifting(step=4)], GRID)
    wrong = misplaced(Tracks.of(layout)).layout
    assert wrong.nouns == layout.nouns
    assert wrong.count(0) == 1
    assert (wrong.labels > 0).sum() == (layout.labels > 0).sum()
    assert not ((wrong.labels > 0) & (layout.labels > 0)).any()


def test_misplaced_cuts_nothing_at_the_border_where_it_can():
    labels = np.zeros((2, 8, 8), np.int16)
    labels[:, 0:3, 0:3] = 1
    wrong = misplaced(Tracks.of(Layout(labels, (0,)))).layout.labels > 0
    for frame in wrong:
        rows, columns = np.nonzero(frame)
        assert np.ptp(rows) == np.ptp(columns) == 2


def test_an_empty_layout_stays_empty():
    empty = Layout(np.zeros((3, 8, 8), np.int16), ())
    assert not misplaced(Tracks.of(empty)).layout.labels.any()
    assert not true_layout([np.zeros((5, 64, 64), np.int32)], VideoGrid(3, 8, 8)).labels.any()


def test_what_the_clip_does_not_show_is_known_to_be_filled_and_to_be_brief():
    masks = drifting(step=0)
    masks[3:] = 0
    masks[3:, 96:112, 96:112] = 7
    tracks = true_tracks([masks], GRID)
    for each in (tracks, misplaced(tracks)):
        assert each.layout.count_per_frame(0).tolist() == [1, 1, 1]
        assert each.sighted.count_per_frame(0).tolist() == [1, 1, 0]
        assert each.short.count_per_frame(0).tolist() == [0, 0, 1]
