"""A layout is refined until it holds the counts asked for, and nothing else is touched."""

import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from numina.errors import LayoutError, TargetError
from numina.identify.tracks import Tracks, link_tracks, velocity
from numina.layout import Layout
from numina.refine.frame_by_frame import refine_frames
from numina.refine.placement import PaperPlacement, PlacementSpec
from numina.refine.refinement import refine_layout

EMPTY = Layout(np.zeros((2, 30, 52), np.int16), ())


def instances(*boxes, frames=4, rows=12, columns=24):
    """A linked layout; each box is ``(row, column, height, width, noun[, column step])``."""
    labels = np.zeros((frames, rows, columns), np.int16)
    for label, (row, column, height, width, _, *step) in enumerate(boxes, 1):
        for frame in range(frames):
            start = column + frame * (step[0] if step else 0)
            labels[frame, row : row + height, start : start + width] = label
    return Layout(labels, tuple(box[4] for box in boxes))


def shape_of(mask):
    rows, columns = np.nonzero(mask.any(1))[0], np.nonzero(mask.any(0))[0]
    return mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


THREE = instances((1, 1, 3, 3, 0), (1, 10, 2, 2, 0), (8, 1, 2, 3, 0))


# Whole tracks: too many.


def test_the_right_count_changes_nothing():
    edit = refine_layout(THREE, [3])
    assert edit.is_empty
    np.testing.assert_array_equal(edit.after.labels, THREE.labels)


def test_the_smallest_track_goes_first():
    edit = refine_layout(THREE, [2])
    assert edit.removed == (2,)
    assert refine_layout(THREE, [1]).removed == (2, 3)
    np.testing.assert_array_equal(edit.after.labels, np.where(THREE.labels == 2, 0, THREE.labels))


def test_of_two_alike_the_one_seen_less_often_goes():
    layout = instances((1, 1, 2, 2, 0), (8, 1, 2, 2, 0))
    nothing = Layout(np.zeros_like(layout.labels), ())
    for missed in (1, 2):
        labels = layout.labels.copy()
        labels[-1][labels[-1] == missed] = 0
        tracks = Tracks(layout, nothing, Layout(labels, layout.nouns))
        assert refine_layout(tracks, [1]).removed == (missed,)


def test_of_two_alike_the_one_attended_less_goes():
    layout = instances((1, 1, 2, 2, 0), (8, 1, 2, 2, 0))
    focus = np.where(layout.labels == 1, 0.2, 0.9).astype(np.float32)[None]
    assert refine_layout(layout, [1], focus=focus).removed == (1,)
    assert refine_layout(layout, [1], focus=1 - focus).removed == (2,)


def test_zero_removes_all_of_that_noun_only():
    layout = instances((1, 1, 2, 2, 0), (8, 1, 2, 2, 1), (1, 9, 2, 2, 0))
    edit = refine_layout(layout, [0, 1])
    assert sorted(edit.removed) == [1, 3]
    assert (edit.after.count(0), edit.after.count(1)) == (0, 1)


# Whole tracks: too few.


def test_an_added_instance_copies_the_median_one_and_moves_with_the_scene():
    layout = instances(
        (1, 1, 1, 2, 0, 1), (4, 1, 3, 3, 0, 1), (8, 1, 4, 5, 0, 1), rows=14, columns=30
    )
    edit = refine_layout(layout, [4])
    assert edit.templates == (2,)
    np.testing.assert_allclose(velocity(layout), [0, 1])
    corners = [np.argwhere(frame == 4).min(0) for frame in edit.after.labels]
    assert (np.diff(corners, axis=0) == [0, 1]).all()
    for frame in edit.after.labels:
        assert shape_of(frame == 4).shape == (3, 3)


def test_a_noun_without_an_instance_takes_the_median_area_of_the_others():
    edit = refine_layout(instances((1, 1, 3, 3, 0), (7, 1, 3, 3, 0)), [2, 1])
    assert edit.templates == (None,)
    assert edit.after.nouns == (0, 0, 1)
    np.testing.assert_array_equal(shape_of(edit.after.labels[0] == 3), np.ones((3, 3), bool))


def test_an_empty_layout_gets_instances_of_a_relative_size():
    edit = refine_layout(EMPTY, [2])
    areas = [(edit.after.labels[0] == label).sum() for label in (1, 2)]
    assert areas[0] == areas[1] == pytest.approx(0.05 * 30 * 52, rel=0.15)
    half = refine_layout(EMPTY, [2], PlacementSpec(area=0.025))
    assert (half.after.labels[0] == 1).sum() == pytest.approx(areas[0] / 2, rel=0.15)


@pytest.mark.parametrize("rows", [2, 4, 7, 10])
def test_low_grids_get_instances_too(rows):
    edit = refine_layout(Layout(np.zeros((2, rows, 3 * rows), np.int16), ()), [2])
    assert edit.after.count(0) == 2


def test_a_short_track_is_promoted_before_anything_is_added():
    labels = np.zeros((5, 8, 20), np.int16)
    labels[:, 1:3, 1:3] = 1
    labels[1:3, 5:7, 12:14] = 2
    tracks = link_tracks(Layout(labels, (0, 0)))
    assert tracks.layout.count(0) == 1
    edit = refine_layout(tracks, [2])
    assert (edit.added, edit.templates) == ((2,), (None,))
    assert all(np.array_equal(frame == 2, labels[1] == 2) for frame in edit.after.labels)
    assert refine_layout(tracks, [1]).is_empty


def test_the_longest_short_track_is_promoted_first():
    labels = np.zeros((7, 8, 20), np.int16)
    labels[1:3, 1:3, 1:3] = 1
    labels[1:4, 5:7, 12:14] = 2
    tracks = link_tracks(Layout(labels, (0, 0)))
    assert tracks.layout.count(0) == 0
    edit = refine_layout(tracks, [1])
    np.testing.assert_array_equal(edit.after.labels[0] > 0, labels[1] == 2)


def test_a_short_track_without_room_is_not_promoted():
    kept = instances((1, 1, 3, 3, 0), frames=5)
    short = np.zeros_like(kept.labels)
    short[2, 1:4, 2:4] = 1
    edit = refine_layout(Tracks.of(kept, Layout(short, (0,))), [2])
    assert edit.templates == (1,)
    np.testing.assert_array_equal(edit.after.labels == 1, kept.labels == 1)


def test_a_copy_of_a_promoted_track_names_no_template():
    labels = np.zeros((5, 8, 20), np.int16)
    labels[1:3, 5:7, 12:14] = 1
    edit = refine_layout(link_tracks(Layout(labels, (0,))), [2])
    assert edit.templates == (None, None)
    assert edit.after.count(0) == 2


def test_copies_shrink_where_the_full_size_does_not_fit():
    layout = instances((0, 0, 8, 8, 0), rows=9, columns=16)
    edit = refine_layout(layout, [3])
    assert edit.after.count(0) == 3
    area = (edit.after.labels[0] == 2).sum()
    assert area == (edit.after.labels[0] == 3).sum()
    assert 0.2 * 64 <= area < 64


# Refusals.


def test_more_than_fits_names_the_feasible_maximum():
    layout = instances((0, 0, 2, 2, 0), rows=5, columns=8, frames=2)
    with pytest.raises(TargetError, match="50 instances of cats were asked for") as caught:
        refine_layout(layout, [50], names=["cats"])
    assert "5 x 8 patches" in str(caught.value)
    most = int(re.search(r"at most (\d+) fit", str(caught.value))[1])
    assert most == 6
    assert refine_layout(layout, [most]).after.count(0) == most
    with pytest.raises(TargetError, match=f"noun 0 .* at most {most} fit"):
        refine_layout(layout, [most + 1])


@pytest.mark.parametrize("count", [-1, 2.5, True, math.nan, "three", None])
@pytest.mark.parametrize("refine", [refine_layout, refine_frames])
def test_counts_are_whole_numbers(refine, count):
    with pytest.raises(TargetError, match="count of noun 1 must be a whole number"):
        refine(THREE, [3, count])


def test_numpy_integers_are_whole_numbers_too():
    assert refine_layout(THREE, np.array([2])).after.count(0) == 2


@pytest.mark.parametrize("refine", [refine_layout, refine_frames])
def test_every_noun_of_the_layout_needs_a_count(refine):
    with pytest.raises(TargetError, match="instances of noun 1, but only 1 counts"):
        refine(instances((1, 1, 2, 2, 1)), [1])


def test_focus_must_cover_the_layout():
    with pytest.raises(LayoutError, match="focus must be"):
        refine_layout(THREE, [1], focus=np.zeros((2, 4, 12, 24), np.float32))


# What holds for any layout.


@st.composite
def linked(draw):
    """Tracks of random squares of two nouns, and counts for them."""
    frames, rows, columns = draw(st.integers(1, 4)), draw(st.integers(6, 14)), 18
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    labels = np.zeros((frames, rows, columns), np.int16)
    nouns = []
    for _ in range(draw(st.integers(0, 4))):
        row, column, side = rng.integers(rows - 3), rng.integers(columns - 3), rng.integers(1, 4)
        step, noun = rng.integers(-1, 2, 2), int(rng.integers(2))
        for frame in range(frames):
            if rng.random() < 0.85:
                top, left = np.clip((row, column) + frame * step, 0, (rows - side, columns - side))
                box = labels[frame, top : top + side, left : left + side]
                nouns.append(noun)
                box[box == 0] = len(nouns)
    counts = draw(st.tuples(st.integers(0, 5), st.integers(0, 5)))
    return link_tracks(Layout(labels, tuple(nouns))), counts


@settings(max_examples=60, deadline=None, derandomize=True)
@given(linked())
def test_the_result_has_the_counts_and_leaves_the_rest_alone(case):
    tracks, counts = case
    try:
        edit = refine_layout(tracks, counts)
    except TargetError as error:
        most = int(re.search(r"ask for (\d+) or fewer", str(error))[1])
        noun = int(re.search(r"of noun (\d)", str(error))[1])
        assert most < counts[noun]
        lower = [most if g == noun else 0 for g in range(2)]
        assert refine_layout(tracks, lower).after.count(noun) == most
        return
    before, after = edit.before.labels, edit.after.labels
    np.testing.assert_array_equal(before, tracks.layout.labels)
    assert [edit.after.count(noun) for noun in range(2)] == list(counts)
    kept = np.setdiff1d(np.unique(before), [0, *edit.removed])
    for label in kept:
        np.testing.assert_array_equal(after == label, before == label)
    assert not np.isin(after, edit.removed).any()
    assert set(edit.added) == set(np.unique(after)) - set(kept) - {0}
    assert all(t is None or 1 <= t <= len(edit.before.nouns) for t in edit.templates)
    shorts = np.unique(tracks.short.labels[tracks.short.labels > 0])
    for label in edit.added[len(shorts) :]:
        mask = after == label
        assert mask.any((1, 2)).all()
        near = ndimage.binary_dilation(mask, np.ones((1, 3, 3), bool))
        assert not (near & (after > 0) & ~mask).any()


# The paper's rule: every frame alone.


def regions(*frames, rows=12, columns=24):
    """Per-frame squares ``(row, column, side[, noun])``, a label each."""
    labels = np.zeros((len(frames), rows, columns), np.int16)
    nouns = []
    for frame, squares in zip(labels, frames, strict=True):
        for row, column, side, *noun in squares:
            nouns.append(noun[0] if noun else 0)
            frame[row : row + side, column : column + side] = len(nouns)
    return Layout(labels, tuple(nouns))


def test_each_frame_loses_its_own_smallest_region():
    layout = regions([(1, 1, 3), (7, 7, 2)], [(1, 1, 2), (7, 7, 3)])
    edit = refine_frames(layout, [1])
    assert edit.removed == (2, 3)
    assert edit.after.count_per_frame(0).tolist() == [1, 1]


def test_each_frame_copies_its_own_smallest_region():
    layout = regions([(1, 1, 2), (7, 7, 3)], [(1, 1, 4), (7, 12, 3)])
    edit = refine_frames(layout, [3])
    assert edit.templates == (1, 4)
    assert edit.added == (5, 6)
    np.testing.assert_array_equal(shape_of(edit.after.labels[0] == 5), np.ones((2, 2), bool))
    np.testing.assert_array_equal(shape_of(edit.after.labels[1] == 6), np.ones((3, 3), bool))


def test_a_frame_without_a_region_gets_a_disc_in_its_middle():
    edit = refine_frames(regions([], rows=13, columns=25), [1])
    assert edit.templates == (None,)
    assert edit.after.labels.sum() == 81
    np.testing.assert_allclose(np.argwhere(edit.after.labels[0]).mean(0), [6, 12])


def test_low_grids_do_not_crash():
    edit = refine_frames(regions([], [], rows=6, columns=20), [2])
    assert edit.after.count_per_frame(0).tolist() == [2, 2]


def test_the_temporal_term_holds_an_added_region_to_its_place():
    frames = [[(1, 1, 4), (7, 1, 3)], [(1, 19, 4), (7, 20, 3)]]
    still = refine_frames(regions(*frames), [3], PaperPlacement(temporal=1e6))
    free = refine_frames(regions(*frames), [3], PaperPlacement(temporal=0.0))
    places = [
        [np.argwhere(edit.after.labels[f] == edit.added[f]).mean(0) for f in range(2)]
        for edit in (still, free)
    ]
    np.testing.assert_allclose(places[0][0], places[0][1])
    assert abs(places[1][0] - places[1][1]).max() > 10


def test_zero_erases_every_region():
    edit = refine_frames(regions([(1, 1, 2), (7, 7, 3)], [(1, 1, 4)]), [0])
    assert not edit.after.labels.any()
    assert sorted(edit.removed) == [1, 2, 3]


def test_an_instance_over_several_frames_is_taken_apart():
    edit = refine_frames(THREE, [2])
    assert edit.before.nouns == (0,) * 12
    assert len(edit.removed) == 4
    assert edit.after.count_per_frame(0).tolist() == [2] * 4


def test_a_frame_holds_no_more_regions_than_patches():
    with pytest.raises(TargetError, match=r"at most 6 instances .* 2 x 3 patches, got"):
        refine_frames(regions([], rows=2, columns=3), [7])
    with pytest.raises(TargetError, match="at most 327 instances"):
        refine_frames(regions(*[[]] * 100, rows=20, columns=20), [328])


def test_nouns_do_not_see_each_other():
    one = [(4, 4, 3, 0)]
    alone = refine_frames(regions(one), [2])
    beside = refine_frames(regions([*one, (4, 9, 3, 1)]), [2, 1])
    added = [edit.after.labels[0] == edit.added[0] for edit in (alone, beside)]
    np.testing.assert_array_equal(*added)


def test_a_copy_may_take_patches_of_its_template():
    # C_o + C_c is 4 + 0 on the template itself, 2 + 1 one patch across, 1 + 2 one patch diagonally
    # and 0 + 4 clear of it: overlap is weighed against squared distance, as in the paper.
    layout = regions([(5, 5, 2)])
    edit = refine_frames(layout, [2])
    assert (edit.after.labels[0] == 2).sum() == 4
    assert (edit.after.labels[0] == 1).sum() == 3


def test_many_discs_are_one_blob():
    edit = refine_frames(regions([], rows=30, columns=52), [8])
    _, blobs = ndimage.label(edit.after.labels[0] > 0)
    assert blobs == 1
    assert (edit.after.labels > 0).sum() < 8 * 81
    robust = refine_layout(Layout(np.zeros((1, 30, 52), np.int16), ()), [8])
    assert ndimage.label(robust.after.labels[0] > 0)[1] == 8
