"""Regions of neighbouring frames become instances over the whole video."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numina.errors import LayoutError
from numina.identify.tracks import (
    Tracks,
    TrackSpec,
    _votes,
    fill_missing,
    link_tracks,
    track_of,
    velocity,
)
from numina.layout import Layout

EMPTY = Layout(np.zeros((1, 2, 2), np.int16), ())


def draw(*frames, rows=12, columns=30):
    """A layout of squares: per frame a list of ``(row, column, side[, noun])``."""
    labels = np.zeros((len(frames), rows, columns), np.int16)
    nouns = []
    for frame, squares in zip(labels, frames, strict=True):
        for row, column, side, *noun in squares:
            nouns.append(noun[0] if noun else 0)
            frame[row : row + side, column : column + side] = len(nouns)
    return Layout(labels, tuple(nouns))


def places(layout, label):
    """First row and column of an instance in every frame, None where it is absent."""
    found = [np.argwhere(frame == label) for frame in layout.labels]
    return [tuple(place.min(0).tolist()) if len(place) else None for place in found]


def test_still_squares_keep_their_identity():
    tracks = link_tracks(draw(*[[(1, 1, 2), (1, 10, 2), (8, 5, 2)]] * 4))
    assert tracks.layout.nouns == (0, 0, 0)
    assert tracks.seen == (4, 4, 4)
    assert places(tracks.layout, 2) == [(1, 10)] * 4
    assert tracks.short.nouns == ()


def test_a_camera_move_of_several_sides_is_followed():
    scene = draw(*[[(1, 1 + 5 * f, 2), (4, 3 + 5 * f, 2), (8, 1 + 5 * f, 2)] for f in range(5)])
    tracks = link_tracks(scene)
    assert tracks.seen == (5, 5, 5)
    np.testing.assert_allclose(velocity(tracks.layout), [0, 5])


def test_a_lone_object_in_steady_motion_is_followed():
    tracks = link_tracks(draw(*[[(1, 1 + 5 * f, 2)] for f in range(5)]))
    assert tracks.seen == (5,)


def test_a_single_jump_is_another_instance():
    tracks = link_tracks(draw(*[[(1, 1, 2)]] * 3, *[[(1, 20, 2)]] * 2))
    assert tracks.seen == (3,)
    assert places(tracks.short, 1) == [None, None, None, (1, 20), (1, 20)]


def test_a_centroid_may_move_one_side_but_no_more():
    near = draw([(1, 1, 4), (8, 20, 4)], [(1, 5, 4), (8, 20, 4)])
    far = draw([(1, 1, 4), (8, 20, 4)], [(1, 6, 4), (8, 20, 4)])
    assert len(link_tracks(near).layout.nouns) == 2
    assert len(link_tracks(far).layout.nouns) == 3


def test_one_arrival_and_one_departure_do_not_shift_the_row():
    columns = np.arange(4) * 2
    labels = np.zeros((2, 4, 12), np.int16)
    for frame, start in enumerate((0, 2)):
        for index, column in enumerate(columns + start):
            labels[frame, :, column] = 1 + 4 * frame + index
    linked = link_tracks(Layout(labels, (0,) * 8)).layout
    for column in (2, 4, 6):
        assert linked.labels[0, 0, column] == linked.labels[1, 0, column] > 0
    assert linked.labels[0, 0, 0] != linked.labels[1, 0, 8]


def test_similar_areas_decide_between_equal_distances():
    # Both squares are equally far from both places of the next frame.
    scene = draw([(2, 4, 4), (7, 5, 2)], [(5, 1, 2), (4, 8, 4)])
    linked = link_tracks(scene, TrackSpec(reach=3.0, motion=0.0)).layout
    large, small = linked.labels[0, 2, 4], linked.labels[0, 7, 5]
    assert (linked.labels[1] == large).sum() == 16
    assert (linked.labels[1] == small).sum() == 4


def test_nouns_are_not_mixed():
    tracks = link_tracks(draw([(1, 1, 2, 0)], [(1, 1, 2, 1)]))
    assert tracks.layout.nouns == (0, 1)
    assert tracks.layout.count(0) == tracks.layout.count(1) == 1


def test_a_missed_frame_is_bridged_and_filled_on_the_straight_line():
    still = [(8, 20, 3), (8, 26, 3)]
    moving = [[(1, 1, 3)], [(1, 3, 3)], [], [(1, 7, 3)], [(1, 9, 3)]]
    tracks = link_tracks(draw(*[squares + still for squares in moving]), TrackSpec(motion=0.0))
    assert tracks.seen == (4, 5, 5)
    np.testing.assert_allclose(velocity(tracks.layout), [0, 0])
    assert places(tracks.layout, 1) == [(1, 1), (1, 3), (1, 5), (1, 7), (1, 9)]


def test_longer_videos_bridge_longer_absences():
    frames = [[(1, 1, 3)]] * 10 + [[]] * 3 + [[(1, 1, 3)]] * 7
    assert link_tracks(draw(*frames)).seen == (17,)
    assert link_tracks(draw(*frames), TrackSpec(bridge=0.1)).seen == ()


def test_missing_ends_are_filled_along_the_scenes_motion():
    other = [(8, 1 + f, 3) for f in range(5)]
    scene = draw([other[0]], *[[(1, 5 + f, 3), other[f]] for f in (1, 2, 3)], [other[4]])
    layout = link_tracks(scene).layout
    assert (1, 5) in (places(layout, 1)[0], places(layout, 2)[0])
    assert (1, 9) in (places(layout, 1)[4], places(layout, 2)[4])


@pytest.mark.parametrize(
    ("frames", "sightings", "counted"),
    [(1, 1, True), (2, 1, True), (3, 1, False), (3, 2, True), (4, 2, False), (4, 3, True)],
)
def test_an_instance_counts_when_a_majority_of_frames_shows_it(frames, sightings, counted):
    scene = draw(*[[(1, 1, 2)] if f < sightings else [] for f in range(frames)])
    tracks = link_tracks(scene)
    assert tracks.layout.count(0) == int(counted)
    assert tracks.short.count(0) == int(not counted)


def test_filling_takes_no_patch_of_another_and_leaves_slivers_out():
    labels = np.zeros((3, 4, 6), np.int16)
    labels[1, 0:2, 0:2] = 1
    labels[0, 0, 0:2] = 2
    labels[2, 0:2, 0:2] = [[2, 2], [2, 0]]
    track = track_of(Layout(labels, (0, 0)), 1)
    fill_missing(labels, 1, track, np.zeros(2))
    assert places(Layout(labels, (0, 0)), 1) == [(1, 0), (0, 0), None]
    assert (labels == 2).sum((1, 2)).tolist() == [2, 0, 3]


def test_an_instance_that_has_left_the_frame_is_not_filled():
    scene = draw(*[[(1, 24 + 2 * f, 2), (6, 2 + 2 * f, 2)] for f in range(3)], [(6, 8, 2)], [])
    layout = link_tracks(scene, TrackSpec(presence=0.5)).layout
    first = layout.labels[0, 1, 24]
    assert places(layout, first) == [(1, 24), (1, 26), (1, 28), None, None]


def test_velocity_is_the_median_displacement():
    scene = draw(*[[(1, 1 + f, 2), (5, 1 + f, 2), (9, 10, 2)] for f in range(4)])
    np.testing.assert_allclose(velocity(link_tracks(scene).layout), [0, 1])
    assert velocity(EMPTY).tolist() == [0, 0]


def test_no_region_at_all_gives_no_track():
    tracks = link_tracks(EMPTY)
    assert tracks.layout.nouns == tracks.short.nouns == tracks.seen == ()


def test_settings_and_labels_are_checked():
    with pytest.raises(ValueError, match="reach must be positive"):
        TrackSpec(reach=0)
    with pytest.raises(ValueError, match="must not be negative"):
        TrackSpec(motion=-1)
    with pytest.raises(ValueError, match=r"shares in \[0, 1\)"):
        TrackSpec(presence=1.0)
    with pytest.raises(LayoutError, match=r"label must lie in 1\.\.0, got 1"):
        track_of(EMPTY, 1)
    with pytest.raises(LayoutError, match="instance 1 covers no patch"):
        track_of(Layout(np.zeros((1, 2, 2), np.int16), (0,)), 1)
    with pytest.raises(LayoutError, match=r"the nouns \(0,\) over .* sighted of \(\) over"):
        Tracks(Layout(np.zeros((1, 2, 2), np.int16), (0,)), EMPTY, EMPTY)
    with pytest.raises(LayoutError, match="layout covers"):
        Tracks(EMPTY, Layout(np.zeros((1, 2, 3), np.int16), ()), EMPTY)


@st.composite
def scenes(draw_from):
    """Squares anywhere, unlinked, of up to two nouns."""
    frames = draw_from(st.integers(1, 6))
    square = st.tuples(st.integers(0, 8), st.integers(0, 12), st.integers(1, 3), st.integers(0, 1))
    squares = st.lists(square, max_size=4)
    return draw(*[draw_from(squares) for _ in range(frames)], rows=10, columns=14)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(scenes())
def test_every_region_lands_whole_in_exactly_one_track(scene):
    tracks = link_tracks(scene)
    for label in np.unique(scene.labels[scene.labels > 0]):
        region = scene.labels == label
        (frame,) = set(np.nonzero(region)[0].tolist())
        homes = []
        for layout in (tracks.layout, tracks.short):
            at = np.unique(layout.labels[region])
            if len(at) == 1 and at[0] > 0:
                homes.append(layout.nouns[at[0] - 1])
        assert scene.nouns[label - 1] in homes
        assert frame < scene.labels.shape[0]


@settings(max_examples=40, deadline=None, derandomize=True)
@given(scenes())
def test_counted_instances_are_seen_in_a_majority(scene):
    tracks = link_tracks(scene)
    frames = scene.labels.shape[0]
    assert all(seen >= 1 if frames <= 2 else 2 * seen > frames for seen in tracks.seen)
    shown = [(tracks.layout.labels == k).any((1, 2)).sum() for k in range(1, len(tracks.seen) + 1)]
    assert all(cover >= seen for cover, seen in zip(shown, tracks.seen, strict=True))


def test_the_motion_of_a_crowd_is_voted_for_as_by_every_pair():
    """Only pairs within reach are compared; all the others would have voted 0."""
    rng = np.random.default_rng(0)
    for _ in range(100):
        unit = rng.choice([1, 3, 6])
        heard = [
            (np.rint(rng.normal(0, 5, (rng.integers(1, 9), 2)) * unit) / unit, side**0.5)
            for side in rng.integers(1, 10, rng.integers(0, 9))
        ]
        candidates = np.concatenate([np.zeros((1, 2)), *(steps for steps, _ in heard[:3])])
        reach = float(rng.choice([0.5, 1.0, 2.0]))
        expected = np.zeros(len(candidates))
        for steps, side in heard:
            off = np.hypot(*(steps[None] - candidates[:, None]).transpose(2, 0, 1)).min(1)
            expected += np.clip(1 - off / (reach * side), 0, None)
        np.testing.assert_array_equal(_votes(candidates, heard, reach), expected)


def test_what_was_filled_is_told_from_what_was_seen():
    found = draw(*([(2, 2, 2)] if frame != 2 else [] for frame in range(5)))
    tracks = link_tracks(found)
    assert tracks.layout.count_per_frame(0).tolist() == [1, 1, 1, 1, 1]
    assert tracks.sighted.count_per_frame(0).tolist() == [1, 1, 0, 1, 1]
    assert tracks.seen == (4,)
    shown = tracks.sighted.labels > 0
    np.testing.assert_array_equal(tracks.sighted.labels[shown], tracks.layout.labels[shown])
    assert Tracks.of(tracks.layout).sighted is tracks.layout
