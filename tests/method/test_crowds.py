"""Nine to fifty instances: as many as asked for in every frame, or a refusal that says why."""

import re

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from numina.errors import NoRoomError
from numina.identify.tracks import link_tracks
from numina.layout import Layout
from numina.methods.method import Sighting
from numina.methods.robust import Robust
from numina.prompt.counts import parse_counts
from numina.refine.crowds import LARGEST_GROUP, SMALLEST_SIDE, crowd_scales, scaled
from numina.refine.placement import PlacementSpec, place
from numina.refine.refinement import refine_layout

WAN = (21, 30, 52)  # Wan 2.1 1.3B at 480p
SPRITES = (3, 16, 16)  # the built-in model

UNITS = "one two three four five six seven eight nine".split()
TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
TENS = {20: "twenty", 30: "thirty", 40: "forty", 50: "fifty"}


def word(number):
    if number < 10:
        return UNITS[number - 1]
    if number < 20:
        return TEENS[number - 10]
    ten, unit = divmod(number, 10)
    return TENS[10 * ten] + (f"-{UNITS[unit - 1]}" if unit else "")


def empty(grid):
    return Layout(np.zeros(grid, np.int16), ())


def boxes(grid, *found):
    """A linked layout; each box is ``(row, column, height, width, noun)``."""
    labels = np.zeros(grid, np.int16)
    for label, (row, column, height, width, _) in enumerate(found, 1):
        labels[:, row : row + height, column : column + width] = label
    return Layout(labels, tuple(box[-1] for box in found))


def assert_apart(edit, added=None, gap=1):
    """Instances that were placed are in every frame, ``gap`` patches from all others."""
    for label in edit.added if added is None else added:
        mask = edit.after.labels == label
        assert mask.any((1, 2)).all()
        near = ndimage.binary_dilation(mask, np.ones((1, 2 * gap + 1, 2 * gap + 1), bool))
        assert not (near & (edit.after.labels > 0) & ~mask).any()


@pytest.mark.parametrize("count", range(9, 51))
def test_numbers_up_to_fifty_are_read_as_words_and_digits(count):
    for said in (word(count), word(count).replace("-", " "), str(count)):
        (target,) = parse_counts(f"a video of {said} red stars drifting left")
        assert (target.noun, target.count) == ("stars", count)


@pytest.mark.parametrize("count", [9, 12, 20, 35, 50])
def test_an_empty_frame_of_wan_takes_any_number_up_to_fifty(count):
    edit = refine_layout(empty(WAN), [count])
    assert edit.after.count_per_frame(0).tolist() == [count] * 21
    assert_apart(edit)


def test_instances_get_smaller_as_the_frame_fills():
    areas = []
    for count in (12, 20, 35, 50):
        after = refine_layout(empty((1, *WAN[1:])), [count]).after
        sizes = {int((after.labels == label).sum()) for label in range(1, count + 1)}
        assert len(sizes) == 1, "all of a noun's new instances have one size"
        areas += sizes
    assert areas == sorted(areas, reverse=True)
    assert areas[-1] < areas[0] / 2
    # No smaller than need be: together they fill a third of the frame and more.
    assert all(n * area > 30 * 52 / 3 for n, area in zip((12, 20, 35, 50), areas, strict=True))


@pytest.mark.parametrize("count", [9, 12, 20, 25])
def test_the_sprites_grid_takes_up_to_twenty_five(count):
    edit = refine_layout(empty(SPRITES), [count])
    assert edit.after.count_per_frame(0).tolist() == [count] * 3
    assert_apart(edit)
    assert (np.bincount(edit.after.labels[0].ravel())[1:] >= SMALLEST_SIDE**2 - 1).all()


def test_what_no_frame_can_hold_is_refused_by_noun_and_numbers():
    with pytest.raises(NoRoomError) as caught:
        refine_layout(empty(SPRITES), [50], names=["stars"])
    said = str(caught.value)
    assert "50 instances of stars were asked for" in said
    assert "16 x 16 patches, even at 2 x 2 patches each" in said
    most = int(re.search(r"ask for (\d+) or fewer, or for larger frames", said)[1])
    assert 25 <= most < 50
    assert refine_layout(empty(SPRITES), [most]).after.count(0) == most


def test_groups_share_the_frame():
    edit = refine_layout(boxes(WAN, (2, 2, 8, 8, 0), (15, 30, 7, 9, 1)), [20, 30])
    assert edit.after.count_per_frame(0).tolist() == [20] * 21
    assert edit.after.count_per_frame(1).tolist() == [30] * 21
    assert_apart(edit)
    np.testing.assert_array_equal(edit.after.labels == 1, edit.before.labels == 1)


def test_up_to_eight_in_all_keep_to_the_scales_of_the_settings():
    # Full size does not fit, and half the size is the smallest that the settings name.
    layout = boxes((2, 9, 24), (0, 0, 8, 8, 0))
    assert refine_layout(layout, [7]).after.count(0) == 7
    with pytest.raises(NoRoomError, match=r"at most 7 .* patches; ask") as caught:
        refine_layout(layout, [LARGEST_GROUP])
    assert "even at" not in str(caught.value)
    assert refine_layout(layout, [LARGEST_GROUP + 1]).after.count(0) == LARGEST_GROUP + 1


@st.composite
def crowded(draw):
    """Boxes of two nouns that drift together on one of two grids, and counts for them."""
    _, rows, columns = grid = draw(st.sampled_from([(3, 30, 52), SPRITES]))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    step = rng.integers(-1, 2, 2)
    labels = np.zeros(grid, np.int16)
    nouns = []
    for _ in range(draw(st.integers(0, 12))):
        side, noun = rng.integers(2, 5), int(rng.integers(2))
        corner = rng.integers((0, 0), (rows - side, columns - side))
        for frame in range(len(labels)):
            row, column = np.clip(corner + frame * step, 0, (rows - side, columns - side))
            box = labels[frame, row : row + side, column : column + side]
            nouns.append(noun)
            box[box == 0] = len(nouns)
    counts = draw(st.tuples(st.integers(0, 50), st.integers(0, 50)))
    return link_tracks(Layout(labels, tuple(nouns))), counts


@settings(max_examples=40, deadline=None, derandomize=True)
@given(crowded())
@example((link_tracks(empty(SPRITES)), (50, 0)))
@example((link_tracks(empty(SPRITES)), (12, 13)))
@example((link_tracks(empty((3, 30, 52))), (50, 50)))
def test_a_crowd_holds_what_was_asked_for_in_every_frame_or_is_refused(case):
    tracks, counts = case
    try:
        edit = refine_layout(tracks, counts)
    except NoRoomError as error:
        noun = int(re.search(r"of noun (\d)", str(error))[1])
        most = int(re.search(r"ask for (\d+) or fewer", str(error))[1])
        assert most < counts[noun]
        alone = [most if g == noun else 0 for g in range(2)]
        assert refine_layout(tracks, alone).after.count(noun) == most
        return
    for noun, count in enumerate(counts):
        assert edit.after.count(noun) == count
    if edit.before.nouns == () and tracks.short.nouns == ():
        assert (edit.after.count_per_frame(0) == counts[0]).all()
        assert (edit.after.count_per_frame(1) == counts[1]).all()
    promoted = int((np.unique(tracks.short.labels) > 0).sum())
    assert_apart(edit, edit.added[promoted:])


@pytest.mark.parametrize("step", [(0, 0), (0, 0.3), (0.2, 0)])
def test_fifty_instances_are_linked_and_judged(step):
    """Placed anywhere, seen in nine frames of ten, all drifting: fifty tracks, none short."""
    rng = np.random.default_rng(7)
    spots = [(row, column) for row in range(2, 25, 4) for column in range(3, 46, 4)]
    labels = np.zeros(WAN, np.int16)
    nouns = []
    for index in rng.permutation(len(spots))[:50]:
        for frame in range(len(labels)):
            if rng.random() < 0.9:
                row, column = np.rint(spots[index] + (frame - 10) * np.array(step)).astype(int)
                nouns.append(0)
                labels[frame, row : row + 3, column : column + 3] = len(nouns)
    tracks = link_tracks(Layout(labels, tuple(nouns)))
    seen = Sighting(tracks.layout, np.zeros((1, *WAN), np.float32), tracks=tracks)
    assert Robust().is_right(seen, [50])
    assert not Robust().is_right(seen, [49])
    assert tracks.short.nouns == ()


# The area budget.


def test_the_budget_is_what_drawn_out_instances_cover():
    # 2 x 2 with a gap of 1 takes 3 x 3 of (8 + 1) x (11 + 1) = 108: twelve fit, thirteen do not.
    full, half = np.ones((4, 4), bool), scaled(np.ones((4, 4), bool), 0.5)
    nothing = np.zeros((1, 8, 11), bool)
    assert half.shape == (2, 2)
    assert crowd_scales(nothing, [full], [12], 1) == (0.5,)
    # 4 x 4 takes 25, so four of them.
    assert crowd_scales(nothing, [full], [4], 1) == (1.0, 0.75, 0.5)
    assert crowd_scales(nothing, [full], [5], 1) == (0.75, 0.5)
    # What is there takes its part: a patch of its own is 4 of the 108, drawn out.
    dotted = nothing.copy()
    dotted[0, 3, 3] = True
    assert crowd_scales(dotted, [full], [4], 1) == (1.0, 0.75, 0.5)
    dotted[0, 3, 6] = dotted[0, 6, 3] = True
    assert crowd_scales(dotted, [full], [4], 1) == (0.75, 0.5)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.integers(0, 2), st.integers(1, 30))
def test_nothing_that_fits_is_beyond_the_budget(seed, gap, count):
    rng = np.random.default_rng(seed)
    occupied = np.zeros((2, 10, 14), bool)
    for _ in range(3):
        row, column = rng.integers((0, 0), (9, 12))
        occupied[:, row : row + 2, column : column + 2] = True
    shape = rng.random(rng.integers(2, 6, 2)) < 0.8
    shape[0, 0] = True
    factors = crowd_scales(occupied, [shape], [count], gap)
    every = crowd_scales(np.zeros_like(occupied), [shape], [0], gap)
    assert factors[-1] == every[-1]
    for factor in set(every) - set(factors):
        smaller = scaled(shape, factor)
        assert place(occupied, smaller, count, spec=PlacementSpec(gap=gap)) is None


def test_a_still_scene_is_placed_in_as_its_frames_together():
    rng = np.random.default_rng(3)
    occupied = rng.random((5, 12, 20)) < 0.02
    shape = np.ones((2, 3), bool)
    together = place(occupied.any(0, keepdims=True), shape, 6)
    still = place(occupied, shape, 6)
    assert still.shape == (6, 5, 2)
    np.testing.assert_array_equal(still, np.repeat(together, 5, axis=1))
    # A drift that never comes to half a patch is none; one that does is followed.
    np.testing.assert_array_equal(place(occupied, shape, 6, velocity=(0.0, 0.2)), still)
    moving = place(np.zeros_like(occupied), shape, 2, velocity=(0.0, 1.0))
    assert (np.diff(moving[:, :, 1], axis=1) == 1).all()
