"""Parts of the predicted clean latent, given to the nouns that attend to them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from numina.identify.clean_latent import LatentRegions, latent_layout, scenery_residual, to_patches
from numina.identify.relief import ReliefSpec
from numina.video import VideoGrid
from numina_kernels import ShapeError

GRID = VideoGrid(3, 16, 16)
CHANNELS = 8


def squares(shape, *corners, side):
    """``[n, F, Y, X]``, 1 inside each square."""
    masks = np.zeros((len(corners), *shape))
    for mask, (row, column) in zip(masks, corners, strict=True):
        mask[:, row : row + side, column : column + side] = 1
    return masks


def scenery(grid, patch, seed, texture=0.15):
    """A slope per channel with a soft texture over it, ``[C, F, y, x]``."""
    rng = np.random.default_rng(seed)
    rows, columns = grid.rows * patch[0], grid.columns * patch[1]
    y, x = np.meshgrid(np.linspace(-1, 1, rows), np.linspace(-1, 1, columns), indexing="ij")
    slope = [level + down * y + across * x * y for level, down, across in rng.normal(0, 1, (8, 3))]
    grain = ndimage.gaussian_filter(rng.standard_normal((8, rows, columns)), (0, 3, 3))
    picture = np.stack(slope) + texture * grain / grain.std()
    return np.repeat(picture[:, None], grid.frames, axis=1)


def scene(*nouns, grid=GRID, patch=(2, 2), side=3, noise=0.3, focus_noise=0.1, seed=0, leak=0.2):
    """A clean latent and a focus of nouns given as lists of corners, in patches."""
    rng = np.random.default_rng(seed)
    corners = [corner for noun in nouns for corner in noun]
    covers = squares(grid.shape, *corners, side=side)  # [n, F, Y, X]
    clean = scenery(grid, patch, seed)
    looks = rng.normal(0, 1, (len(nouns), CHANNELS))
    looks *= CHANNELS**0.5 / np.linalg.norm(looks, axis=1, keepdims=True)
    focus = np.zeros((len(nouns), *grid.shape))
    owners = [noun for noun, own in enumerate(nouns) for _ in own]
    for owner, cover in zip(owners, covers, strict=True):
        fine = cover.repeat(patch[0], 1).repeat(patch[1], 2)
        clean = clean * (1 - fine) + (looks[owner][:, None, None, None] + 1.5) * fine
        for noun in range(len(nouns)):
            focus[noun] += cover * (1 if noun == owner else leak)
    clean = ndimage.gaussian_filter(clean, (0, 0, 0.4, 0.4))
    clean = clean + noise * rng.standard_normal(clean.shape)
    return clean, focus + focus_noise * rng.standard_normal(focus.shape)


def counts(layout, noun=0):
    return layout.count_per_frame(noun).tolist()


CORNERS = [(1, 1), (1, 7), (6, 3), (7, 11), (12, 6)]


# The scenery


@pytest.mark.parametrize("order", [0, 1, 3])
def test_a_surface_of_the_degree_is_explained_whatever_stands_before_it(order):
    rng = np.random.default_rng(0)
    y, x = np.meshgrid(np.linspace(-1, 1, 20), np.linspace(-1, 1, 30), indexing="ij")
    powers = [y**i * x**j for i in range(order + 1) for j in range(order + 1 - i)]
    weights = rng.normal(0, 1, (4, 2, len(powers)))
    surface = np.einsum("cfp,pyx->cfyx", weights, np.stack(powers))
    surface += 0.01 * rng.standard_normal(surface.shape)
    covered = np.zeros((20, 30), bool)
    covered[4:13, 5:15] = True  # a seventh of the frame
    clean = surface + 3 * covered
    length = np.linalg.norm(scenery_residual(clean, order), axis=0) / 2
    assert np.median(length[:, ~covered]) == pytest.approx(1, abs=0.3)
    assert length[:, ~covered].max() < 6
    assert length[:, covered].min() > 20


def test_each_frame_has_its_own_scenery():
    clean = scenery(VideoGrid(2, 16, 16), (2, 2), seed=0, texture=0.01)
    clean[:, 1] = 5 - clean[:, 1, ::-1]
    length = np.linalg.norm(scenery_residual(clean, 3), axis=0) / CHANNELS**0.5
    assert length.max() < 5


def test_a_loud_channel_does_not_drown_the_others():
    clean, _ = scene(CORNERS, noise=0.1)
    loud = clean * np.array([100, 1, 1, 1, 1, 1, 1, 0.01])[:, None, None, None]
    one, other = (np.linalg.norm(scenery_residual(x, 3), axis=0) for x in (clean, loud))
    assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.8


def test_a_constant_latent_has_no_residual():
    assert (scenery_residual(np.full((3, 2, 8, 8), 0.3), 3) < 0.1).all()


# Down to patches


def test_a_patch_goes_to_the_part_that_covers_most_of_it():
    parts = np.array(
        [[[1, 1, 1, 2, 0, 3], [1, 1, 2, 2, 0, 0], [0, 0, 0, 0, 3, 3], [4, 4, 4, 0, 3, 3]]]
    )
    assert to_patches(parts, (2, 2), cover=0.5).tolist() == [[[1, 2, 0], [4, 0, 3]]]
    assert to_patches(parts, (2, 2), cover=0.2).tolist() == [[[1, 2, 3], [4, 4, 3]]]


def test_a_part_without_a_patch_gets_one_that_another_can_spare():
    parts = np.array([[[1, 1, 1, 1], [1, 1, 1, 2]]])
    assert to_patches(parts, (2, 2), cover=0.5).tolist() == [[[1, 2]]]
    shared = np.array([[[1, 1, 0, 0], [1, 2, 0, 0]]])
    # Part 2 would take part 1's only patch; there is room for one of them alone.
    assert to_patches(shared, (2, 2), cover=0.5).tolist() == [[[1, 0]]]


@given(
    arrays(np.int32, (2, 6, 8), elements=st.integers(0, 5)),
    st.sampled_from([(1, 1), (2, 2), (3, 2), (2, 4)]),
    st.floats(0, 0.99),
)
@settings(max_examples=80, deadline=None)
def test_patches_hold_only_parts_that_lie_in_them(parts, patch, cover):
    labels = to_patches(parts, patch, cover)
    cells = parts.reshape(2, 6 // patch[0], patch[0], 8 // patch[1], patch[1])
    assert labels.shape == (2, 6 // patch[0], 8 // patch[1])
    for place in np.ndindex(labels.shape):
        inside = cells[place[0], place[1], :, place[2]]
        if labels[place]:
            assert (inside == labels[place]).any()
    if patch == (1, 1):
        assert (labels == parts).all()


@given(st.permutations(range(24)), st.integers(1, 24))
@settings(max_examples=40, deadline=None)
def test_no_part_is_lost_where_each_has_a_patch_of_its_own(places, number):
    """One latent each, in different patches."""
    parts = np.zeros((2, 6, 8), np.int32)
    for part, place in enumerate(places[:number], 1):
        frame, row, column = np.unravel_index(place, (2, 3, 4))
        parts[frame, 2 * row + part % 2, 2 * column] = part
    labels = to_patches(parts, (2, 2), 0.5)
    assert set(range(1, number + 1)) <= set(labels.flat)


# The layout


@pytest.mark.parametrize("noise", [0.05, 0.3, 0.6])
@pytest.mark.parametrize("number", [1, 3, 5])
def test_parts_are_counted_before_a_textured_slope(number, noise):
    clean, focus = scene(CORNERS[:number], noise=noise)
    layout = latent_layout(clean, focus, GRID)
    assert counts(layout) == [number] * 3
    assert set(layout.nouns) == {0}


def test_parts_lie_where_the_instances_are():
    layout = latent_layout(*scene(CORNERS), GRID)
    truth = squares(GRID.shape, *CORNERS, side=3).max(0) > 0
    assert (layout.labels[truth] > 0).mean() > 0.9
    assert (layout.labels[~truth] == 0).mean() > 0.9


@pytest.mark.parametrize("patch", [(1, 1), (2, 2), (2, 4)])
def test_latents_may_be_finer_than_patches_by_any_factor(patch):
    clean, focus = scene(CORNERS, patch=patch, noise=0.1)
    assert counts(latent_layout(clean, focus, GRID)) == [5] * 3


def test_a_finer_grid_is_read_with_the_same_settings():
    grid = VideoGrid(2, 32, 48)
    corners = [(4, 4), (4, 18), (18, 5), (20, 30)]
    clean, focus = scene(corners, grid=grid, side=7)
    assert counts(latent_layout(clean, focus, grid)) == [4] * 2


def test_each_part_goes_to_the_noun_that_attends_to_it():
    clean, focus = scene(CORNERS[:3], CORNERS[3:], leak=0.4)
    layout = latent_layout(clean, focus, GRID)
    assert counts(layout, 0) == [3] * 3
    assert counts(layout, 1) == [2] * 3
    swapped = latent_layout(clean, focus[::-1], GRID)
    assert counts(swapped, 1) == [3] * 3


def test_parts_that_no_noun_attends_to_are_dropped():
    clean, focus = scene(CORNERS[:3], CORNERS[3:], leak=0.0)
    layout = latent_layout(clean, focus[:1], GRID)
    assert counts(layout) == [3] * 3


def test_where_instances_are_expected_they_are_found_though_no_noun_attends_to_them():
    clean, focus = scene(CORNERS[:3], CORNERS[3:], leak=0.0)
    seen = latent_layout(clean, focus, GRID)
    flat = np.ones_like(focus)
    assert counts(latent_layout(clean, flat, GRID)) == [0] * 3
    again = latent_layout(clean, flat, GRID, expected=seen)
    assert counts(again, 0) == [3] * 3
    assert counts(again, 1) == [2] * 3


def test_what_is_expected_outweighs_the_attention_of_another_noun():
    clean, focus = scene(CORNERS[:3], CORNERS[3:])
    seen = latent_layout(clean, focus, GRID)
    again = latent_layout(clean, focus[::-1], GRID, expected=seen)
    assert counts(again, 0) == [3] * 3
    assert counts(again, 1) == [2] * 3


def test_what_is_expected_where_nothing_is_is_not_found():
    clean, focus = scene(CORNERS[:3])
    elsewhere = latent_layout(*scene(CORNERS), GRID)
    assert counts(latent_layout(clean, focus, GRID, expected=elsewhere)) == [3] * 3


def test_touching_instances_of_two_nouns_are_told_apart():
    clean, focus = scene([(2, 2), (9, 9)], [(2, 5), (9, 12)], leak=0.1)
    layout = latent_layout(clean, focus, GRID)
    assert counts(layout, 0) == counts(layout, 1) == [2] * 3


def test_instances_a_latent_apart_are_not_merged():
    grid = VideoGrid(2, 16, 16)
    clean, focus = scene([(2, 2), (9, 9)], noise=0.1, grid=grid)
    fine = squares((2, 32, 32), (4, 11), side=6)[0]  # one latent beside the first
    clean = np.where(fine > 0, clean[:, :, 4:10, 4:10].mean((2, 3), keepdims=True), clean)
    focus[:, :, 2:5, 5:9] = 1
    assert counts(latent_layout(clean, focus, grid)) == [3] * 2


def test_nouns_that_look_alike_are_told_apart_by_focus():
    clean, _ = scene(CORNERS)
    covers = squares(GRID.shape, *CORNERS, side=3)
    layout = latent_layout(clean, np.stack([covers[:3].max(0), covers[3:].max(0)]), GRID)
    assert counts(layout, 0) == [3] * 3
    assert counts(layout, 1) == [2] * 3


def test_a_noun_that_is_nowhere_gets_no_part_of_another():
    """Its attention is faint but even, the other's uneven: in units of its own it would win."""
    clean, _ = scene(CORNERS, noise=0.1)
    covers = squares(GRID.shape, *CORNERS, side=3)
    own = (covers * np.array([1.0, 0.9, 0.5, 0.5, 0.4])[:, None, None, None]).sum(0)
    focus = np.stack([own, 0.3 * covers.sum(0)])
    focus += 0.01 * np.random.default_rng(0).standard_normal(focus.shape)
    layout = latent_layout(clean, focus, GRID)
    assert counts(layout, 0) == [5] * 3
    assert counts(layout, 1) == [0] * 3


def test_nothing_before_the_scenery_makes_an_empty_layout():
    rng = np.random.default_rng(0)
    focus = scene(CORNERS)[1]
    constant = np.full((CHANNELS, 3, 32, 32), 0.7)
    noise = rng.standard_normal((CHANNELS, 3, 32, 32))
    for clean in (constant, noise):
        layout = latent_layout(clean, focus, GRID)
        assert layout.nouns == ()
        assert layout.labels.shape == GRID.shape
        assert not layout.labels.any()


def test_a_flat_focus_makes_an_empty_layout():
    clean, focus = scene(CORNERS)
    assert latent_layout(clean, np.full_like(focus, 0.2), GRID).nouns == ()


def test_labels_live_in_one_frame_each():
    layout = latent_layout(*scene(CORNERS[:3], CORNERS[3:]), GRID)
    for label in range(1, len(layout.nouns) + 1):
        assert (layout.labels == label).any(axis=(1, 2)).sum() == 1


def test_half_precision_is_taken():
    clean, focus = scene(CORNERS)
    assert (
        counts(latent_layout(clean.astype(np.float16), focus.astype(np.float32), GRID)) == [5] * 3
    )


@pytest.mark.parametrize(
    "shape", [(8, 2, 32, 32), (8, 3, 33, 32), (8, 3, 32, 30), (3, 32, 32), (0, 3, 32, 32)]
)
def test_latents_of_another_grid_are_refused(shape):
    with pytest.raises(ShapeError, match=r"clean must be \[C, 3, y, x\]"):
        latent_layout(np.zeros(shape), np.zeros((1, *GRID.shape)), GRID)


def test_a_focus_of_another_grid_is_refused():
    with pytest.raises(ShapeError, match=r"focus must be \[G, 3, 16, 16\]"):
        latent_layout(np.zeros((8, 3, 32, 32)), np.zeros((1, 3, 16, 15)), GRID)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scenery_order": -1}, "scenery_order must not be negative"),
        ({"valley": -0.1}, "valley must not be negative"),
        ({"cover": 1.0}, "cover must lie in"),
        ({"focus": ReliefSpec(), "smallest": -0.1}, "smallest must lie in"),
    ],
)
def test_senseless_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        LatentRegions(**settings)
