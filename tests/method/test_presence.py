"""A count holds in every frame: nothing leaves, and nothing passes through."""

import numpy as np
import pytest

from numina.identify.tracks import Tracks, link_tracks
from numina.layout import Layout, RegionClass
from numina.places import Placed
from numina.refine.presence import PresenceSpec, brief_sightings, completed, is_present
from numina.refine.quotas import in_place
from numina.refine.refinement import refine_layout

FRAMES, ROWS, COLUMNS = 4, 10, 16
SPEC = PresenceSpec()


def drifting(*boxes, step=0):
    """Instances of 3 x 3 patches that drift right; a box is ``(row, column[, frames])``."""
    labels = np.zeros((FRAMES, ROWS, COLUMNS), np.int16)
    for label, (row, column, *frames) in enumerate(boxes, 1):
        for frame in frames[0] if frames else range(FRAMES):
            left = column + frame * step
            labels[frame, row : row + 3, max(0, left) : max(0, left + 3)] = label
    return Layout(labels, (0,) * len(boxes))


def areas(layout, label):
    return (layout.labels == label).sum((1, 2)).tolist()


def test_instances_that_are_in_every_frame_are_as_they_should_be():
    tracks = link_tracks(drifting((1, 1), (6, 4), step=2))
    assert is_present(tracks, SPEC)
    assert brief_sightings(tracks.short, SPEC) is None
    np.testing.assert_array_equal(completed(tracks.layout, SPEC).labels, tracks.layout.labels)


def test_an_instance_that_leaves_is_stopped_by_the_border():
    layout = drifting((1, 1), (6, 8), step=3)
    assert areas(layout, 2) == [9, 9, 6, 0]
    held = completed(layout, SPEC)
    assert areas(held, 2) == [9, 9, 6, 9]
    assert (held.labels[3, 6:9, -3:] == 2).all()
    np.testing.assert_array_equal(held.labels == 1, layout.labels == 1)


def test_an_instance_may_be_missing_in_a_stray_frame():
    tracks = Tracks.of(drifting((1, 1), (6, 8), step=3))
    assert is_present(tracks, SPEC)  # in one frame of four
    assert not is_present(tracks, PresenceSpec(patience=0.25))


def test_one_that_enters_is_there_from_the_first_frame_on():
    layout = drifting((1, 1), (6, -4), step=3)
    assert areas(layout, 2) == [0, 6, 9, 9]
    held = completed(layout, SPEC)
    assert areas(held, 2) == [9, 6, 9, 9]
    assert (held.labels[0, 6:9, :3] == 2).all()


def test_how_much_of_itself_an_instance_must_show_at_the_border():
    layout = drifting((1, 1), (6, 8), step=3)
    assert areas(completed(layout, PresenceSpec(whole=0.7)), 2) == [9, 9, 9, 9]
    assert areas(completed(layout, PresenceSpec(whole=0.6)), 2) == [9, 9, 6, 9]


def test_a_small_one_inside_the_frame_is_as_small_as_it_is():
    layout = drifting((1, 1))
    layout.labels[2, 1:4, 2:4] = 0
    np.testing.assert_array_equal(completed(layout, SPEC).labels, layout.labels)


def test_a_held_instance_takes_the_nearest_place_that_is_free():
    labels = drifting((6, 8), step=3).labels
    labels[3, 8:, -3:] = 2  # where the first one would be stopped
    held = completed(Layout(labels, (0, 1)), SPEC)
    np.testing.assert_array_equal(held.labels[3] == 2, labels[3] == 2)
    assert (held.labels[3, 4:7, -3:] == 1).all()
    assert areas(held, 1)[3] == 9


def test_without_a_free_place_it_stays_as_it_is():
    labels = drifting((6, 8), step=3).labels
    labels[3, ::3] = 2
    held = completed(Layout(labels, (0, 1)), SPEC)
    np.testing.assert_array_equal(held.labels[3], labels[3])


def test_instances_that_melt_into_each_other_are_parted():
    labels = drifting((1, 1), (1, 7)).labels
    labels[2, :, 4:7] = labels[2, :, 1:4] * 2  # the second one has come up to the first
    labels[2, :, 7:10] = 0
    parted = completed(Layout(labels, (0, 0)), SPEC).labels[2]
    assert sorted(np.bincount(parted.ravel())[1:]) == [9, 9]
    first, second = (np.argwhere(parted == label) for label in (1, 2))
    assert np.abs(first[:, None] - second[None]).max(-1).min() == 2


def test_those_of_different_nouns_may_touch():
    layout = Layout(drifting((1, 1), (1, 4)).labels, (0, 1))
    np.testing.assert_array_equal(completed(layout, SPEC).labels, layout.labels)


def test_one_that_was_not_told_from_another_in_a_frame_is_not_there():
    labels = drifting((1, 1), (6, 7, [0, 1, 3])).labels
    tracks = link_tracks(Layout(labels, (0, 0)))
    assert tracks.layout.count_per_frame(0).tolist() == [2, 2, 2, 2]
    assert is_present(tracks, SPEC)  # one frame of four
    assert not is_present(tracks, PresenceSpec(patience=0.25))
    edit = refine_layout(tracks, [2], presence=PresenceSpec(patience=0.25))
    assert edit.before.count_per_frame(0).tolist() == [2, 2, 1, 2]
    assert edit.after.count_per_frame(0).tolist() == [2, 2, 2, 2]


def test_between_two_sightings_an_instance_goes_along_the_straight_line():
    """And not with the scene, which stands still."""
    labels = np.zeros((9, ROWS, 32), np.int16)
    for frame in (0, 1, 2, 6, 7, 8):
        labels[frame, 6:8, 3 * frame : 3 * frame + 2] = 4
    for label, row in enumerate((0, 3), 1):
        labels[:, row : row + 2, 10 * label : 10 * label + 2] = label
    held = completed(Layout(labels, (0, 0, 0, 0)), SPEC)
    left = [int(np.argwhere(frame == 4)[:, 1].min()) for frame in held.labels]
    assert left == [0, 3, 6, 9, 12, 15, 18, 21, 24]


def test_one_that_is_parted_does_not_jump_to_and_fro():
    """Another noun beside it in every other frame makes now one side the nearest, now another."""
    labels = np.zeros((4, ROWS, COLUMNS), np.int16)
    labels[:, 4:7, 6:9], labels[:, 4:7, 9:12] = 1, 2
    labels[1::2, 3:8, 2:5] = 3
    parted = completed(Layout(labels, (0, 0, 1)), SPEC)
    corners = [tuple(np.argwhere(frame == 1).min(0).tolist()) for frame in parted.labels]
    assert corners[0] == (4, 5)
    assert corners[1] != corners[0]
    assert corners[1:] == [corners[1]] * 3


def test_an_instance_is_held_in_its_own_place():
    """Sighted on the left, it would come from the right, where none was asked for."""
    labels = np.zeros((5, ROWS, COLUMNS), np.int16)
    for frame, left in ((2, 8), (3, 6), (4, 4)):
        labels[frame, 3:6, left : left + 3] = 1
    places = [Placed(left=1).parts]
    edit = refine_layout(Tracks.of(Layout(labels, (0,))), [1], places=places, presence=SPEC)
    assert edit.after.count(0) == 1
    assert not edit.added
    assert in_place(edit.after, [1], places)


def test_a_sighting_too_brief_to_count_is_wrong_and_goes():
    found = drifting((1, 1), (6, 4, [1, 2]))
    tracks = link_tracks(found)
    assert tracks.layout.count(0) == 1
    assert not is_present(tracks, SPEC)
    edit = refine_layout(tracks, [1], presence=SPEC)
    assert not edit.is_empty
    assert not edit.removed
    assert edit.seen.count_per_frame(0).tolist() == [1, 2, 2, 1]
    assert edit.after.count_per_frame(0).tolist() == [1, 1, 1, 1]
    passing = (found.labels == 2) & (edit.after.labels == 0)
    assert (edit.classes(1)[0][passing] == RegionClass.REMOVED).all()


def test_a_stray_frame_may_pass():
    tracks = link_tracks(drifting((1, 1), (6, 4, [1])))
    assert is_present(tracks, SPEC)
    assert not is_present(tracks, PresenceSpec(patience=0.25))
    assert refine_layout(tracks, [1], presence=SPEC).is_empty


def test_where_one_is_missing_a_brief_sighting_becomes_it():
    found = drifting((1, 1), (6, 4, [1, 2]))
    edit = refine_layout(link_tracks(found), [2], presence=SPEC)
    assert edit.added == (2,)
    assert edit.brief is None
    assert edit.after.count_per_frame(0).tolist() == [2, 2, 2, 2]
    assert (edit.classes(1)[0][found.labels == 2] == RegionClass.ADDED).all()


def test_held_patches_are_asked_for_like_added_ones():
    layout = drifting((1, 1), (6, 8), step=3)
    edit = refine_layout(layout, [2], presence=SPEC)
    assert not edit.added
    assert edit.held(0) == (2,)
    classes, asked = edit.classes(1)[0], edit.after.labels
    kept = (asked > 0) & (asked == layout.labels)
    assert (classes[kept] == RegionClass.KEPT).all()
    assert (classes[(asked > 0) & ~kept] == RegionClass.ADDED).all()
    assert (classes[(layout.labels > 0) & (asked == 0)] == RegionClass.REMOVED).all()


def test_without_a_spec_nothing_is_held_and_nothing_brief_goes():
    tracks = link_tracks(drifting((1, 1), (6, 4, [1, 2])))
    assert refine_layout(tracks, [1]).is_empty


@pytest.mark.parametrize("settings", [{"patience": 0}, {"patience": 1.5}, {"whole": -0.1}])
def test_settings_are_shares(settings):
    with pytest.raises(ValueError, match=r"shares in 0\.\.1"):
        PresenceSpec(**settings)
