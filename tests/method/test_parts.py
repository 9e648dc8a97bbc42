"""Parts of a map: linked, split at valleys, sifted by area."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from numina.identify.parts import (
    absorb_small,
    linked_parts,
    neighbour_pairs,
    part_means,
    renumbered,
    split_at_valleys,
    typical_area,
)

FRAME = (1, 1, 9)
MASKS = arrays(np.bool_, st.tuples(*[st.integers(1, 6)] * 3))


def row(*values):
    return np.array([[values]])


def labels(*values):
    return row(*values).astype(np.int32)


def same_partition(one, other):
    """Whether two label maps differ in their numbers alone."""
    pairs = {(int(a), int(b)) for a, b in zip(one.flat, other.flat, strict=True)}
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


@pytest.mark.parametrize("diagonal", [False, True])
def test_pairs_are_all_neighbours_within_a_frame(diagonal):
    shape = (2, 3, 4)
    place = np.stack(np.unravel_index(np.arange(24), shape), 1)
    expected = {
        (i, j)
        for i in range(24)
        for j in range(i)
        if place[i, 0] == place[j, 0]
        and np.abs(place[i] - place[j]).max() == 1
        and (diagonal or np.abs(place[i] - place[j]).sum() == 1)
    }
    pairs = neighbour_pairs(shape, diagonal)
    assert {(max(pair), min(pair)) for pair in pairs.tolist()} == expected
    assert len(pairs) == len(expected)


@given(MASKS, st.booleans())
@settings(max_examples=60, deadline=None)
def test_linked_parts_are_the_connected_components_of_each_frame(mask, diagonal):
    found = linked_parts(mask, neighbour_pairs(mask.shape, diagonal))
    structure = np.zeros((3, 3, 3))
    structure[1] = ndimage.generate_binary_structure(2, 1 + diagonal)
    expected, number = ndimage.label(mask, structure)
    assert same_partition(found, expected)
    assert found.max(initial=0) == number
    assert ((found > 0) == mask).all()


def test_missing_pairs_part_what_touches():
    pairs = neighbour_pairs((1, 1, 4), diagonal=False)
    cut = pairs[pairs.min(1) != 1]
    assert linked_parts(labels(1, 1, 1, 1) > 0, cut).tolist() == [[[1, 1, 2, 2]]]


def test_a_valley_parts_two_peaks():
    height = row(0.0, 2, 4, 3, 1, 3, 5, 2, 0)
    part = (height > 0).astype(np.int32)
    pairs = neighbour_pairs(FRAME, diagonal=False)
    # The valley of 1 lies 3 below the lower peak of 4: three quarters of its height.
    apart = split_at_valleys(part, height, pairs, depth=0.75)
    assert len(np.unique(apart)) == 3
    assert len(set(apart[0, 0, 1:4])) == 1
    assert len(set(apart[0, 0, 5:8])) == 1
    assert (split_at_valleys(part, height, pairs, depth=0.76) == part).all()
    assert (split_at_valleys(part, height, pairs, depth=0.1, least=3.1) == part).all()
    assert len(np.unique(split_at_valleys(part, height, pairs, depth=0.1, least=3.0))) == 3


def test_the_lower_of_two_peaks_decides():
    """A shoulder of 3 beside a peak of 100 stays apart: its own valley is deep."""
    height = row(0.0, 0, 100, 50, 1, 3, 2, 0, 0)
    pairs = neighbour_pairs(FRAME, diagonal=False)
    parts = split_at_valleys((height > 0).astype(np.int32), height, pairs, depth=0.5)
    assert len(np.unique(parts)) == 3


def test_a_plateau_is_one_part():
    height = np.ones((2, 4, 4))
    pairs = neighbour_pairs(height.shape, diagonal=False)
    whole = linked_parts(height > 0, pairs)
    assert same_partition(split_at_valleys(whole, height, pairs, depth=0.01), whole)


@given(
    arrays(np.float64, st.tuples(*[st.integers(1, 5)] * 3), elements=st.integers(-3, 6)),
    st.floats(0.05, 1.0),
)
@settings(max_examples=60, deadline=None)
def test_split_parts_are_connected_and_refine_what_was(height, depth):
    pairs = neighbour_pairs(height.shape, diagonal=True)
    whole = linked_parts(height > 0, pairs)
    finer = split_at_valleys(whole, height, pairs, depth)
    assert ((finer > 0) == (whole > 0)).all()
    for part in range(1, finer.max() + 1):
        inside = finer == part
        assert len(np.unique(whole[inside])) == 1
        assert linked_parts(inside, pairs).max() == 1
    unsplit = split_at_valleys(whole, height, pairs, depth=1.1)
    assert same_partition(unsplit, whole)


def test_typical_area_is_hardly_moved_by_crumbs():
    assert typical_area(labels(1, 1, 1, 0, 2, 2, 2, 0, 3, 0, 4, 0, 5)) == 3
    assert typical_area(labels(0, 0, 0)) == 0
    assert typical_area(labels(1, 1, 1, 1, 2)) == 4


def test_small_parts_join_what_they_touch_most_and_vanish_alone():
    parts = np.array([[[1, 1, 2, 3, 3], [1, 1, 2, 3, 3], [1, 1, 1, 3, 0], [0, 0, 0, 0, 4]]])
    left = absorb_small(parts.astype(np.int32), neighbour_pairs(parts.shape, False), smallest=3)
    # Part 2 has three neighbours in part 1 and two in part 3; part 4 touches none.
    assert left.tolist() == [[[1, 1, 1, 2, 2], [1, 1, 1, 2, 2], [1, 1, 1, 2, 0], [0, 0, 0, 0, 0]]]


def test_small_parts_may_grow_large_together():
    """1 joins 2, which is large enough then; no area is lost."""
    parts = labels(1, 2, 2, 0, 3, 3, 3)
    left = absorb_small(parts, neighbour_pairs(parts.shape, False), smallest=3)
    assert left.tolist() == labels(1, 1, 1, 0, 2, 2, 2).tolist()


def test_parts_large_enough_are_left_alone():
    parts = labels(5, 5, 0, 2, 2, 9, 9)
    left = absorb_small(parts, neighbour_pairs(parts.shape, False), smallest=2)
    assert left.tolist() == labels(1, 1, 0, 2, 2, 3, 3).tolist()


@given(
    arrays(np.int32, st.tuples(*[st.integers(1, 5)] * 3), elements=st.integers(0, 6)),
    st.integers(0, 8),
)
@settings(max_examples=60, deadline=None)
def test_what_is_left_is_large_enough(parts, smallest):
    pairs = neighbour_pairs(parts.shape, diagonal=False)
    parts = linked_parts(parts > 0, pairs[parts.ravel()[pairs[:, 0]] == parts.ravel()[pairs[:, 1]]])
    left = absorb_small(parts, pairs, smallest)
    areas = np.bincount(left.ravel())[1:]
    assert (areas >= max(smallest, 1)).all()
    assert not (left[parts == 0]).any()
    kept = np.bincount(parts.ravel())[1:] >= smallest
    for part in np.flatnonzero(kept) + 1:
        assert len(np.unique(left[parts == part])) == 1
        assert (left[parts == part] > 0).all()


def test_parts_are_numbered_in_reading_order():
    assert renumbered(labels(0, 7, 7, 3, 0, 5)).tolist() == [[[0, 1, 1, 2, 0, 3]]]
    assert renumbered(labels(4, 2)).tolist() == [[[1, 2]]]
    assert renumbered(labels(0, 0)).tolist() == [[[0, 0]]]


def test_means_over_parts():
    parts = labels(0, 1, 1, 2)
    values = np.stack([row(9.0, 1, 3, 5), row(9.0, 0, 0, 7)])
    assert part_means(parts, values).tolist() == [[2.0, 5.0], [0.0, 7.0]]
    assert part_means(labels(0, 0, 0, 0), values).shape == (2, 0)
