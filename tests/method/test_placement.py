"""New instances go where the paper's cost is least, or where nothing is in their way."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from numina.errors import LayoutError
from numina.refine.crowds import scaled
from numina.refine.placement import (
    PaperPlacement,
    PlacementSpec,
    capacity,
    disc,
    disc_of_area,
    paper_cost,
    paper_place,
    place,
)

DOT = np.ones((1, 1), bool)
SQUARE = np.ones((2, 2), bool)


def frames_with(*marks, frames=1, rows=6, columns=8):
    """``[F, Y, X]`` with the marked ``(row, column)`` patches occupied in every frame."""
    occupied = np.zeros((frames, rows, columns), bool)
    for row, column in marks:
        occupied[:, row, column] = True
    return occupied


def stamped(shape, footprint, path):
    """``[F, Y, X]`` with a footprint along its path."""
    mask = np.zeros(shape, bool)
    height, width = footprint.shape
    for frame, (row, column) in zip(mask, path, strict=True):
        assert row >= 0
        assert column >= 0
        frame[row : row + height, column : column + width][footprint] = True
    assert (mask.sum((1, 2)) == footprint.sum()).all(), "a copy was cut at the border"
    return mask


def widened(mask, gap):
    reach = 2 * gap + 1
    return ndimage.binary_dilation(mask, np.ones((1, reach, reach), bool))


# The paper's cost.


def test_cost_is_overlap_plus_squared_distances_by_hand():
    occupied = np.zeros((2, 4), bool)
    occupied[0, :2] = True  # centroid (0, 0.5)
    cost, first = paper_cost(occupied, DOT, (1, 3), PaperPlacement(temporal=8.0))
    assert first == (0, 0)
    # C_o + C_c + 8 C_t for every centre (row, column).
    expected = [
        [1 + 0.25 + 8 * 10, 1 + 0.25 + 8 * 5, 0 + 2.25 + 8 * 2, 0 + 6.25 + 8 * 1],
        [0 + 1.25 + 8 * 9, 0 + 1.25 + 8 * 4, 0 + 3.25 + 8 * 1, 0 + 7.25 + 8 * 0],
    ]
    np.testing.assert_allclose(cost, expected, atol=1e-9)
    assert paper_place(occupied, DOT, (1, 3)) == (1, 3)


def test_cost_without_a_past_leaves_the_temporal_term_out():
    occupied = np.zeros((2, 4), bool)
    occupied[0, :2] = True
    cost, _ = paper_cost(occupied, DOT, None, PaperPlacement())
    np.testing.assert_allclose(cost, [[1.25, 1.25, 2.25, 6.25], [1.25, 1.25, 3.25, 7.25]])


def test_cost_counts_the_overlap_of_the_very_shape():
    corner = np.array([[True, False], [True, True]])
    occupied = np.zeros((3, 3), bool)
    occupied[0, 1] = occupied[1, 2] = True
    cost, _ = paper_cost(occupied, corner, (0, 0), PaperPlacement(temporal=0.0))
    centroid = np.array([0.5, 1.5])
    for row in range(2):
        for column in range(2):
            overlap = (occupied[row : row + 2, column : column + 2] & corner).sum()
            off = np.argwhere(corner).mean(0) + np.array([row, column]) - centroid
            assert cost[row, column] == pytest.approx(overlap + off @ off)


def test_an_empty_layout_has_its_centroid_in_the_middle_of_the_frame():
    assert paper_place(np.zeros((5, 9), bool), DOT) == (2, 4)


def test_lambda_decides_between_the_layout_and_the_past():
    occupied = np.zeros((1, 21), bool)
    occupied[0, 0] = True
    near_the_past = paper_place(occupied, DOT, (0, 20), PaperPlacement(temporal=8.0))
    # (x - 0)^2 + 8 (x - 20)^2 is least at 160 / 9 = 17.8.
    assert near_the_past == (0, 18)
    assert paper_place(occupied, DOT, (0, 20), PaperPlacement(temporal=1.0)) == (0, 10)


def test_the_papers_disc_has_81_patches():
    assert disc(5).sum() == 81
    assert disc(1).tolist() == [[False, True, False], [True, True, True], [False, True, False]]


@pytest.mark.parametrize("frame", [(10, 20), (7, 30), (20, 4), (1, 1), (10, 10)])
def test_a_disc_is_cut_where_the_grid_has_fewer_rows_than_it(frame):
    cost, (top, left) = paper_cost(np.zeros(frame, bool), disc(5), None, PaperPlacement())
    centres = [range(top + 5, top + 5 + cost.shape[0]), range(left + 5, left + 5 + cost.shape[1])]
    for size, centre in zip(frame, centres, strict=True):
        expected = range(5, size - 5) if size >= 11 else range(size)
        assert centre == expected
    row, column = paper_place(np.zeros(frame, bool), disc(5))
    assert abs(row + 5 - (frame[0] - 1) / 2) <= 0.5
    assert abs(column + 5 - (frame[1] - 1) / 2) <= 0.5


def test_a_cut_disc_counts_the_overlap_inside_the_frame():
    occupied = np.zeros((3, 5), bool)
    occupied[0, 0] = occupied[2, 4] = True
    shape = np.ones((5, 1), bool)
    cost, first = paper_cost(occupied, shape, None, PaperPlacement())
    assert first == (-2, 0)
    overlap = cost - [[(r - 1) ** 2 + (c - 2) ** 2 for c in range(5)] for r in range(3)]
    np.testing.assert_allclose(overlap, [[1, 0, 0, 0, 1]] * 3, atol=1e-9)


# Hard non-overlap.


def test_a_copy_keeps_a_gap_of_one_patch():
    occupied = frames_with((0, 2), rows=1, columns=7)
    dense = PlacementSpec(clearance=0.0)
    (path,) = place(occupied, DOT, anchor=(0, 2), spec=dense)
    assert path.tolist() == [[0, 0]]  # as near as (0, 4), and first
    (path,) = place(occupied, DOT, anchor=(0, 2.1), spec=dense)
    assert path.tolist() == [[0, 4]]
    (path,) = place(occupied, DOT, anchor=(0, 2.1), spec=PlacementSpec(clearance=0.0, gap=0))
    assert path.tolist() == [[0, 3]]


def test_every_frame_is_looked_at():
    occupied = np.zeros((2, 1, 5), bool)
    occupied[0, 0, 0] = occupied[1, 0, 4] = True
    (path,) = place(occupied, DOT, anchor=(0, 0))
    assert path.tolist() == [[0, 2], [0, 2]]
    occupied[1, 0, 2] = True
    assert place(occupied, DOT) is None


def test_a_copy_moves_with_the_scene_and_stops_at_the_border():
    spec = PlacementSpec(clearance=0.0)
    (path,) = place(
        frames_with(frames=5, rows=9, columns=9),
        SQUARE,
        velocity=(0, 2.4),
        anchor=(0.5, 4.5),
        spec=spec,
    )
    assert path.tolist() == [[0, 0], [0, 2], [0, 4], [0, 6], [0, 7]]


def test_a_path_is_blocked_by_what_it_will_meet():
    occupied = frames_with(frames=3, rows=1, columns=9)
    occupied[2, 0, 6] = True
    spec = PlacementSpec(clearance=0.0)
    free = set()
    for column in range(9):
        (path,) = place(occupied, DOT, velocity=(0, 2), anchor=(0, column), spec=spec)
        if path[1, 1] == column:
            free.add(column)
    # At mid-video; one frame later the copy is two columns on and must be a patch away from 6.
    assert free == {0, 1, 2, 6, 7, 8}


def test_clearance_is_worth_a_detour():
    occupied = frames_with((8, 8), rows=17, columns=40)
    # Free patches to the instance or the border, whichever is nearer.
    room = ndimage.distance_transform_cdt(np.pad(~occupied[0], 1), "chessboard")[1:-1, 1:-1] - 1
    gaps = []
    for clearance in (0.0, 1.0):
        spec = PlacementSpec(clearance=clearance)
        (path,) = place(occupied, np.ones((4, 4), bool), anchor=(8, 8), spec=spec)
        row, column = path[0]
        gaps.append(room[row : row + 4, column : column + 4].min())
    assert gaps == [1, 4]


def test_copies_are_packed_where_the_preferred_places_leave_no_room():
    empty = frames_with(rows=5, columns=5)
    paths = place(empty, SQUARE, 4, spec=PlacementSpec(clearance=0.0))
    assert sorted(map(tuple, paths[:, 0].tolist())) == [(0, 0), (0, 3), (3, 0), (3, 3)]
    assert place(empty, SQUARE, 5) is None


def test_capacity_by_hand():
    assert capacity(frames_with(rows=5, columns=5), SQUARE) == 4
    assert capacity(frames_with(rows=5, columns=5), SQUARE, spec=PlacementSpec(gap=0)) == 4
    assert capacity(frames_with(rows=5, columns=6), SQUARE, spec=PlacementSpec(gap=0)) == 6
    assert capacity(frames_with((2, 2), rows=5, columns=5), DOT) == 8
    assert capacity(frames_with((2, 2), rows=5, columns=5), SQUARE) == 0


def test_a_footprint_larger_than_the_frame_never_fits():
    assert place(frames_with(rows=3, columns=9), np.ones((4, 1), bool)) is None
    assert capacity(frames_with(rows=3, columns=9), np.ones((1, 10), bool)) == 0


def test_no_copy_at_all_is_an_empty_answer():
    assert place(frames_with(frames=3), SQUARE, 0).shape == (0, 3, 2)


@st.composite
def crowded(draw):
    """Random obstacles, a random footprint, a random motion."""
    shape = (draw(st.integers(1, 4)), draw(st.integers(1, 7)), draw(st.integers(1, 9)))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    occupied = rng.random(shape) < draw(st.sampled_from([0.0, 0.03, 0.15]))
    footprint = rng.random((draw(st.integers(1, 3)), draw(st.integers(1, 3)))) < 0.7
    footprint[0, 0] = True
    velocity = (draw(st.floats(-2, 2)), draw(st.floats(-2, 2)))
    return occupied, footprint, velocity, draw(st.integers(0, 2))


def every_path(shape, footprint, velocity):
    """Every path of a footprint, by the definition."""
    limits = np.array(shape[1:]) - footprint.shape
    for row in range(limits[0] + 1):
        for column in range(limits[1] + 1):
            shift = np.rint((np.arange(shape[0]) - shape[0] // 2)[:, None] * np.array(velocity))
            yield np.clip(np.array([row, column]) + shift, 0, limits).astype(int)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(crowded())
def test_a_place_is_found_exactly_when_there_is_one(case):
    occupied, footprint, velocity, gap = case
    blocked = widened(occupied, gap)
    free = [
        path.tolist()
        for path in every_path(occupied.shape, footprint, velocity)
        if not (stamped(occupied.shape, footprint, path) & blocked).any()
    ]
    found = place(occupied, footprint, velocity=velocity, spec=PlacementSpec(gap=gap))
    assert (found is None) == (not free)
    if found is not None:
        assert found[0].tolist() in free


@settings(max_examples=60, deadline=None, derandomize=True)
@given(crowded(), st.integers(0, 6))
def test_copies_keep_the_gap_from_everything_and_each_other(case, count):
    occupied, footprint, velocity, gap = case
    paths = place(occupied, footprint, count, velocity=velocity, spec=PlacementSpec(gap=gap))
    if paths is None:
        return
    taken = occupied
    for path in paths:
        mask = stamped(occupied.shape, footprint, path)
        assert not (widened(mask, gap) & taken).any()
        taken = taken | mask


@settings(max_examples=30, deadline=None, derandomize=True)
@given(crowded())
def test_capacity_is_what_place_can_do(case):
    occupied, footprint, velocity, gap = case
    spec = PlacementSpec(gap=gap)
    fits = capacity(occupied, footprint, velocity=velocity, spec=spec)
    assert place(occupied, footprint, fits, velocity=velocity, spec=spec) is not None
    # Packing is greedy, so a preference may find room for more; nothing is promised there.
    if fits == 0:
        assert place(occupied, footprint, 1, velocity=velocity, spec=spec) is None


# Shapes.


@pytest.mark.parametrize(("area", "shape"), [(0.2, (1, 1)), (1, (1, 1)), (4, (2, 2)), (9, (3, 3))])
def test_small_discs_are_squares(area, shape):
    assert disc_of_area(area).all()
    assert disc_of_area(area).shape == shape


@pytest.mark.parametrize("area", [12, 20, 47, 81, 200, 1000])
def test_discs_have_about_the_area_asked_for(area):
    assert disc_of_area(area).sum() == pytest.approx(area, rel=0.15)


def test_scaling_keeps_the_shape_and_two_patches_a_side():
    cross = np.kron(np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], bool), np.ones((2, 2), bool))
    np.testing.assert_array_equal(scaled(cross, 0.5), cross[::2, ::2])
    np.testing.assert_array_equal(scaled(cross, 1.0), cross)
    assert scaled(np.ones((2, 8), bool), 0.5).shape == (2, 4)
    assert scaled(np.ones((1, 3), bool), 0.5).shape == (1, 2)
    ring = np.ones((3, 3), bool)
    ring[1, 1] = False
    assert scaled(ring, 0.5).any()


# Refusals.


def test_wrong_shapes_are_refused():
    with pytest.raises(LayoutError, match=r"occupied must be a bool \[F, Y, X\], got int64"):
        place(np.zeros((1, 2, 2), int), DOT)
    with pytest.raises(LayoutError, match="at least one patch"):
        place(frames_with(), np.zeros((2, 2), bool))
    with pytest.raises(LayoutError, match="at least one patch"):
        paper_place(np.zeros((2, 2), bool), np.zeros((0, 0), bool))


@pytest.mark.parametrize(
    "settings_",
    [{"gap": -1}, {"clearance": -0.1}, {"scales": ()}, {"scales": (1.2,)}, {"area": 0.0}],
)
def test_settings_are_checked(settings_):
    with pytest.raises(ValueError, match=next(iter(settings_))):
        PlacementSpec(**settings_)


@pytest.mark.parametrize("settings_", [{"temporal": -1.0}, {"radius": -1}])
def test_settings_of_the_paper_are_checked(settings_):
    with pytest.raises(ValueError, match=next(iter(settings_))):
        PaperPlacement(**settings_)
