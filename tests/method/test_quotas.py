"""Counts per place: whose centres are where, what is moved, and what finds no room there."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from numina.errors import NoRoomError, TargetError
from numina.identify.tracks import Tracks, link_tracks
from numina.layout import Layout
from numina.methods.method import Placing, Sighting
from numina.methods.observing import Observing
from numina.methods.paper import Paper
from numina.methods.robust import Robust
from numina.places import Placed
from numina.refine.quotas import in_place, members, misplaced, quotas_of
from numina.refine.refinement import refine_layout

# Places that leave each other a patch.
TOGETHER = [
    ("left",),
    ("left", "right"),
    ("top", "bottom"),
    ("middle",),
    ("left", "middle", "right"),
    ("upper_left", "lower_right", "middle"),
    ("left", "upper_left"),
]


def scene(*boxes, frames=3, rows=16, columns=16):
    """A linked layout; each box is ``(row, column, side, noun[, column step])``."""
    labels = np.zeros((frames, rows, columns), np.int16)
    for label, (row, column, side, _, *step) in enumerate(boxes, 1):
        for frame in range(frames):
            start = column + frame * (step[0] if step else 0)
            labels[frame, row : row + side, start : start + side] = label
    return Layout(labels, tuple(box[3] for box in boxes))


def parts(**named):
    return Placed(**named).parts


def held(layout, counts, places):
    frame = layout.labels.shape[1:]
    return [len(own) for own in members(layout, quotas_of(counts, places, frame))]


def test_an_instance_belongs_where_its_centre_is_in_most_frames():
    # Centres at columns 1, 14, and 5, 7, 9: in the left half in two frames of three.
    layout = scene((1, 0, 3, 0), (1, 13, 3, 0), (8, 4, 3, 0, 2))
    assert held(layout, [3], [parts(left=2, right=1)]) == [2, 1, 0]
    assert in_place(layout, [3], [parts(left=2, right=1)])
    assert not in_place(layout, [3], [parts(left=1, right=2)])


def test_half_of_the_frames_are_no_majority():
    layout = scene((1, 2, 3, 0, 4), frames=4)  # centres at columns 3, 7, 11 and 15
    assert held(layout, [1], [parts(left=1, right=0)]) == [0, 0, 1]


def test_a_centre_on_the_border_is_in_the_later_half():
    layout = scene((1, 6, 4, 0))  # columns 6 to 9, centre 7.5, which is the frame's middle
    assert held(layout, [1], [parts(left=1)]) == [0, 1]
    assert held(layout, [1], [parts(right=1)]) == [1, 0]


def test_one_that_is_nowhere_most_of_the_time_is_in_a_wrong_place():
    # Left in one frame, in the middle in one, right in one.
    layout = scene((8, 1, 2, 0, 6))
    places = [parts(left=1, middle=0, right=0)]
    assert held(layout, [1], places) == [0, 0, 0, 1]
    assert not in_place(layout, [1], places)


def test_of_overlapping_places_the_smaller_one_counts():
    layout = scene((7, 5, 2, 0), (7, 0, 2, 0))
    assert in_place(layout, [2], [parts(left=1, middle=1)])
    assert not in_place(layout, [2], [parts(left=2, middle=0)])


def test_the_wrong_half_is_wrong_though_the_number_is_right():
    layout = scene((1, 1, 3, 0), (6, 1, 3, 0), (1, 12, 3, 0))
    places = [parts(left=1, right=2)]
    seen = Sighting(layout, np.zeros((1, *layout.labels.shape), np.float32))
    assert Robust().is_right(seen, [3])
    assert not Robust().is_in_place(layout, [3], places)
    assert misplaced(layout, [3], places) == 1
    edit = refine_layout(layout, [3], places=places)
    assert (len(edit.removed), len(edit.added)) == (1, 1)
    assert set(edit.removed) < {1, 2}
    assert edit.templates[0] is not None, "the copy looks like the noun's others"
    assert in_place(edit.after, [3], places)
    np.testing.assert_array_equal(edit.after.labels == 3, layout.labels == 3)


def test_right_places_change_nothing():
    layout = scene((1, 1, 3, 0), (6, 12, 3, 0))
    assert refine_layout(layout, [2], places=[parts(left=1, right=1)]).is_empty


def test_nouns_without_a_place_stay_anywhere():
    layout = scene((1, 1, 3, 0), (6, 12, 3, 1))
    edit = refine_layout(layout, [1, 2], places=[parts(right=1), ()])
    assert in_place(edit.after, [1, 2], [parts(right=1), ()])
    assert edit.after.count(1) == 2
    assert edit.removed == (1,)


def test_a_short_track_is_promoted_only_where_it_is_missing():
    kept = scene((1, 1, 3, 0))
    short = np.zeros_like(kept.labels)
    short[1, 10:13, 11:14] = 1
    tracks = Tracks.of(kept, Layout(short, (0,)))
    edit = refine_layout(tracks, [2], places=[parts(left=1, right=1)])
    np.testing.assert_array_equal(edit.after.labels[0] == 2, short[1] == 1)
    edit = refine_layout(tracks, [2], places=[parts(left=2)])
    assert held(edit.after, [2], [parts(left=2)]) == [2, 0]
    assert edit.templates == (1,)


def test_a_full_place_is_refused_by_name():
    with pytest.raises(NoRoomError, match=r"40 instances of stars on the left were asked .* there"):
        refine_layout(scene(), [41], names=["stars"], places=[parts(left=40, right=1)])


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.data())
def test_every_place_holds_its_count_or_the_whole_is_refused(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    step = int(rng.integers(-1, 2))
    boxes = []
    for _ in range(data.draw(st.integers(0, 6))):
        boxes.append((*rng.integers((0, 2), (13, 11)).tolist(), 3, int(rng.integers(2)), step))
    layout = link_tracks(scene(*boxes)).layout
    named = data.draw(st.sampled_from(TOGETHER))
    first = Placed(**{name: data.draw(st.integers(0, 3)) for name in named})
    counts = [first.total, data.draw(st.integers(0, 3))]
    places = [first.parts, ()]
    try:
        edit = refine_layout(layout, counts, places=places)
    except NoRoomError:
        # Up to eight, instances get no smaller than half the size of what is there.
        assume(False)
    assert in_place(edit.after, counts, places)
    assert [edit.after.count(noun) for noun in range(2)] == counts
    kept = set(np.unique(layout.labels)) - {0, *edit.removed}
    for label in kept:
        np.testing.assert_array_equal(edit.after.labels == label, layout.labels == label)


def test_without_places_the_edit_is_the_same():
    layout = scene((1, 1, 3, 0), (6, 12, 3, 1), (11, 2, 3, 0))
    for counts in ([1, 3], [4, 0], [3, 2]):
        one, other = (refine_layout(layout, counts, places=p) for p in ((), [(), ()]))
        np.testing.assert_array_equal(one.after.labels, other.after.labels)
        assert (one.added, one.removed) == (other.added, other.removed)


def test_places_must_be_those_of_the_counts():
    with pytest.raises(TargetError, match="must be given for 2 nouns, got 1"):
        quotas_of([1, 1], [parts(left=1)], (16, 16))
    with pytest.raises(TargetError, match="must add up to 2"):
        quotas_of([2], [parts(left=1)], (16, 16))


def test_a_place_without_a_patch_has_no_room():
    # The centre of a single row is where the lower half begins.
    flat = Layout(np.zeros((1, 1, 16), np.int16), ())
    assert refine_layout(flat, [1], places=[parts(bottom=1)]).after.count(0) == 1
    with pytest.raises(NoRoomError, match=r"noun 0 at the top were .* at most 0 fit there"):
        refine_layout(flat, [1], places=[parts(top=1)])


def test_methods_say_whether_they_know_places():
    assert isinstance(Robust(), Placing)
    assert isinstance(Observing(Robust()), Placing)
    assert not isinstance(Paper(), Placing)
