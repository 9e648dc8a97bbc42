"""Regions of attention: the published rule and ours."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from sklearn.cluster import DBSCAN, MeanShift

from numina.identify import regions
from numina.identify.regions import (
    AttentionRegions,
    PaperRegions,
    attention_layout,
    dense_patches,
    paper_layout,
)
from numina.identify.relief import ReliefSpec
from numina.video import VideoGrid
from numina_kernels import ShapeError

GRID = VideoGrid(4, 16, 16)
FINE = VideoGrid(4, 32, 48)


def squares(grid, *corners, side=3, moving=0):
    """Squares of height 1, ``[F, Y, X]``, that drift so many columns a frame."""
    values = np.zeros(grid.shape)
    for frame in range(grid.frames):
        for row, column in corners:
            column = column + moving * frame
            values[frame, row : row + side, column : column + side] = 1
    return values


def noisy(values, noise, seed=0, blur=0.5):
    """As attention has it: soft edges, and noise of which neighbours share a part."""
    rng = np.random.default_rng(seed)
    noise_map = ndimage.gaussian_filter(rng.standard_normal(values.shape), (0, 0.5, 0.5))
    soft = ndimage.gaussian_filter(values, (0, blur, blur))
    return soft + noise * noise_map / noise_map.std()


def counts(layout, noun=0):
    return layout.count_per_frame(noun).tolist()


CORNERS = ((1, 1), (1, 7), (6, 3), (7, 11), (12, 6))


# The published rule


@given(
    arrays(np.bool_, st.tuples(st.integers(1, 8), st.integers(1, 8))),
    st.sampled_from([1.0, 1.5, 2.0, 3.0]),
    st.integers(1, 6),
)
@settings(max_examples=60, deadline=None)
def test_dense_patches_are_those_that_dbscan_keeps(mask, eps, min_samples):
    places = np.argwhere(mask)
    expected = np.zeros_like(mask)
    if len(places):
        kept = DBSCAN(eps=eps, min_samples=min_samples).fit(places).labels_ >= 0
        expected[tuple(places[kept].T)] = True
    spec = PaperRegions(eps=eps, min_samples=min_samples)
    assert (dense_patches(mask, spec) == expected).all()


def quadrants(grid):
    """Features that fall into four clusters, one for each quarter of the frame."""
    quarter = 2 * (np.arange(grid.rows) >= grid.rows // 2)[:, None] + (
        np.arange(grid.columns) >= grid.columns // 2
    )
    corners = np.array([(0, 0, 0), (0, 5, 1), (5, 0, 1), (5, 5, 0)], float)
    return np.broadcast_to(corners[quarter.ravel()], (grid.frames, grid.patches, 3)), quarter


def test_a_region_stays_if_enough_of_it_is_in_focus():
    grid = VideoGrid(2, 12, 12)
    features, quarter = quadrants(grid)
    focus = np.zeros((1, *grid.shape))
    focus[0, 0][quarter == 0] = 1.0  # all of quarter 0
    focus[0, 0, 0:2, 6:11] = 0.5  # 10 of the 36 patches of quarter 1
    focus[0, 0, 6:7, 0:6] = 0.5  # 6 of those of quarter 2
    layout = paper_layout(features, focus, grid)
    assert counts(layout) == [2, 0]
    kept = layout.labels[0] > 0
    assert kept[quarter == 0].all()
    assert kept[quarter == 1].all()
    assert not kept[quarter >= 2].any()
    fewer = paper_layout(features, focus, grid, PaperRegions(tau=10 / 36 + 0.01))
    assert counts(fewer) == [1, 0]


def test_focus_counts_from_a_share_of_the_peak_on():
    grid = VideoGrid(1, 12, 12)
    features, quarter = quadrants(grid)
    focus = np.zeros((1, *grid.shape))
    focus[0, 0][quarter == 0] = 7.0
    focus[0, 0][quarter == 3] = 0.69
    assert counts(paper_layout(features, focus, grid)) == [1]
    assert counts(paper_layout(features, focus, grid, PaperRegions(rho=0.09))) == [2]


def test_scattered_focus_is_noise_to_dbscan():
    grid = VideoGrid(1, 12, 12)
    features, _ = quadrants(grid)
    focus = np.zeros((1, *grid.shape))
    focus[0, 0, ::5, ::5] = 1.0
    assert counts(paper_layout(features, focus, grid)) == [0]


def test_a_region_goes_to_one_noun_only():
    grid = VideoGrid(1, 12, 12)
    features, quarter = quadrants(grid)
    focus = np.zeros((2, *grid.shape))
    focus[0, 0][quarter <= 1] = 1.0
    focus[1, 0][quarter == 3] = 1.0
    focus[1, 0, 0:3, 6:12] = 0.8  # half of quarter 1, all of which noun 0 covers
    focus[1, 0][quarter == 0] = 0.4  # all of quarter 0, but less strongly than noun 0
    layout = paper_layout(features, focus, grid)
    assert counts(layout, 0) == [2]
    assert counts(layout, 1) == [1]
    assert (layout.mask(0)[0] == (quarter <= 1)).all()


def test_regions_are_found_once_per_frame(monkeypatch):
    fits = []

    class Spy(MeanShift):
        def fit(self, points, y=None):
            fits.append(points.shape)
            return super().fit(points, y)

    monkeypatch.setattr(regions, "MeanShift", Spy)
    grid = VideoGrid(3, 8, 8)
    paper_layout(quadrants(grid)[0], np.random.default_rng(0).random((4, *grid.shape)), grid)
    assert fits == [(64, 5)] * 3


def test_flat_features_and_no_focus_make_an_empty_layout():
    grid = VideoGrid(2, 6, 6)
    layout = paper_layout(np.zeros((2, 36, 3)), np.zeros((1, *grid.shape)), grid)
    assert layout.nouns == ()
    assert not layout.labels.any()


def test_settings_made_for_the_instances_find_them():
    """The published bandwidth spans a fifth of the frame and merges small instances."""
    grid = VideoGrid(1, 16, 16)
    rng = np.random.default_rng(0)
    numbers = sum(n * squares(grid, corner) for n, corner in enumerate(CORNERS, 1)).astype(int)
    looks = np.concatenate([np.zeros((1, 3)), rng.uniform(0.9, 1.1, (5, 3))])
    features = looks[numbers].reshape(1, -1, 3) + 0.02 * rng.standard_normal((1, 256, 3))
    focus = (numbers > 0)[None].astype(float)

    scaled = PaperRegions().scaled_to(grid, instance_patches=9)
    assert counts(paper_layout(features, focus, grid, scaled)) == [5]
    assert counts(paper_layout(features, focus, grid)) == [1]


def test_settings_scale_with_the_instances():
    small, large = (PaperRegions().scaled_to(GRID, patches) for patches in (4, 36))
    assert (small.eps, large.eps) == (1.0, 3.0)
    assert small.min_samples < large.min_samples
    assert large.quantile == pytest.approx(36 / 256)
    assert (small.rho, small.tau) == (0.1, 0.2)
    with pytest.raises(ValueError, match="instance_patches must be 1 to 255, got 256"):
        PaperRegions().scaled_to(GRID, 256)


# Ours


@pytest.mark.parametrize("noise", [0.0, 0.1, 0.15])
@pytest.mark.parametrize("number", [1, 2, 5])
def test_instances_are_counted(number, noise):
    focus = noisy(squares(GRID, *CORNERS[:number]), noise)[None]
    layout = attention_layout(focus, GRID)
    assert counts(layout) == [number] * 4
    assert layout.nouns == (0,) * (4 * number)


@pytest.mark.parametrize("seed", range(5))
def test_instances_of_a_finer_grid_are_counted_by_the_same_settings(seed):
    corners = [(4, 4), (4, 18), (18, 5), (20, 30)]
    focus = noisy(squares(FINE, *corners, side=7), 0.3, seed, blur=1.0)[None]
    assert counts(attention_layout(focus, FINE)) == [4] * 4


def test_every_region_lies_on_its_instance():
    truth = squares(GRID, *CORNERS)
    layout = attention_layout(noisy(truth, 0.1)[None], GRID)
    found = layout.labels > 0
    assert (found & (truth > 0)).sum() / (found | (truth > 0)).sum() > 0.7


def test_moving_instances_are_counted():
    focus = noisy(squares(GRID, (1, 1), (6, 4), (11, 0), moving=1), 0.1)[None]
    assert counts(attention_layout(focus, GRID)) == [3] * 4


def test_labels_live_in_one_frame_each():
    layout = attention_layout(noisy(squares(GRID, *CORNERS), 0.1)[None], GRID)
    for label in range(1, len(layout.nouns) + 1):
        assert (layout.labels == label).any(axis=(1, 2)).sum() == 1


def test_unit_and_offset_of_the_focus_do_not_matter():
    focus = noisy(squares(GRID, *CORNERS), 0.1)[None]
    one, other = (attention_layout(x, GRID) for x in (focus, 3e-4 * focus - 1))
    assert (one.labels == other.labels).all()


@pytest.mark.parametrize("value", [0.0, 0.1, -3.0])
def test_a_flat_focus_has_no_instances(value):
    layout = attention_layout(np.full((2, *GRID.shape), value), GRID)
    assert layout.nouns == ()
    assert not layout.labels.any()


def test_a_noun_that_is_nowhere_has_no_instances():
    rng = np.random.default_rng(0)
    focus = np.stack([noisy(squares(FINE, (4, 4), side=7), 0.1), rng.standard_normal(FINE.shape)])
    layout = attention_layout(focus, FINE)
    assert counts(layout, 0) == [1] * 4
    assert counts(layout, 1) == [0] * 4


def test_touching_instances_are_split_at_the_valley_between_them():
    focus = np.zeros((1, *GRID.shape))
    # Two heaps; the saddle between them has two fifths of their height.
    y, x = np.mgrid[:16, :16]
    for column in (5, 10):
        focus[0] += np.exp(-((y - 8) ** 2 + (x - column) ** 2) / (2 * 1.4**2))
    assert counts(attention_layout(focus, GRID)) == [2] * 4
    unsplit = AttentionRegions(valley=1.1)
    assert counts(attention_layout(focus, GRID, unsplit)) == [1] * 4


def test_corners_touch_only_if_asked():
    focus = squares(GRID, (4, 4), (8, 8), side=4)[None]
    sharp = AttentionRegions(relief=ReliefSpec(first_smoothing=0, smoothing=0), valley=0.3)
    assert counts(attention_layout(focus, GRID, sharp)) == [2] * 4
    joined = AttentionRegions(relief=sharp.relief, diagonal=True)
    assert counts(attention_layout(focus, GRID, joined)) == [1] * 4


def test_crumbs_are_not_counted():
    values = squares(FINE, (4, 4), (18, 30), side=7)
    values[:, 28, 2:4] = 1
    assert counts(attention_layout(values[None], FINE)) == [2] * 4
    every = AttentionRegions(smallest=0.0, relief=ReliefSpec(first_smoothing=0, smoothing=0))
    assert counts(attention_layout(values[None], FINE, every)) == [3] * 4


def test_an_instance_that_fills_most_of_the_frame_is_found():
    focus = noisy(squares(FINE, (2, 2), side=28) + squares(FINE, (2, 12), side=28) > 0, 0.1)
    assert counts(attention_layout(focus[None].astype(float), FINE)) == [1] * 4


def test_a_region_belongs_to_its_best_noun():
    """Each noun also attends to the other's instances, half as strongly."""
    first, second = squares(GRID, *CORNERS[:3]), squares(GRID, *CORNERS[3:])
    focus = np.stack([first + 0.5 * second, second + 0.5 * first])
    layout = attention_layout(
        np.stack([noisy(x, 0.08, seed) for seed, x in enumerate(focus)]), GRID
    )
    assert counts(layout, 0) == [3] * 4
    assert counts(layout, 1) == [2] * 4
    assert not (layout.mask(0) & (second > 0)).any()


def test_touching_instances_of_two_nouns_are_told_apart():
    first, second = squares(FINE, (4, 8), side=8), squares(FINE, (4, 16), side=8)
    layout = attention_layout(np.stack([noisy(x, 0.1) for x in (first, second)]), FINE)
    assert counts(layout, 0) == counts(layout, 1) == [1] * 4


def test_the_order_of_nouns_does_not_matter():
    focus = np.stack(
        [noisy(squares(GRID, *CORNERS[:2]), 0.1), noisy(squares(GRID, *CORNERS[2:]), 0.1)]
    )
    one, other = attention_layout(focus, GRID), attention_layout(focus[::-1], GRID)
    assert (one.labels == other.labels).all()
    assert one.nouns == tuple(1 - noun for noun in other.nouns)


def test_fragments_with_the_same_features_are_one_instance():
    """A body seen in two heaps; beside it two instances that touch and differ."""
    grid = VideoGrid(1, 24, 32)
    y, x = np.mgrid[:24, :32]

    def heap(row, column):
        return np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * 2.0**2))

    focus = np.zeros((1, *grid.shape))
    focus[0, 0] = heap(6, 6) + heap(6, 13) + heap(17, 20) + heap(17, 27)
    features = np.zeros((1, 24, 32, 3))
    features[0, :12, :20] = (1, 0, 0)
    features[0, 12:, 14:24] = (0, 1, 0)
    features[0, 12:, 24:] = (0, 0, 1)
    features[0][focus[0, 0] < 0.1] = 0
    features = features.reshape(1, -1, 3) + 0.02 * np.random.default_rng(0).random((1, 768, 3))
    assert counts(attention_layout(focus, grid)) == [4]
    assert counts(attention_layout(focus, grid, affinity=features)) == [3]
    assert counts(attention_layout(np.zeros_like(focus), grid, affinity=features)) == [0]


def test_features_do_not_merge_nouns():
    grid = VideoGrid(1, 24, 32)
    first, second = squares(grid, (4, 8), side=8), squares(grid, (4, 16), side=8)
    features = (first + second).reshape(1, -1, 1)
    layout = attention_layout(np.stack([first, second]), grid, affinity=features)
    assert counts(layout, 0) == counts(layout, 1) == [1]


def test_maps_of_another_grid_are_refused():
    with pytest.raises(ShapeError, match=r"focus must be \[G, 4, 16, 16\]"):
        attention_layout(np.zeros((1, 4, 16, 15)), GRID)
    with pytest.raises(ShapeError, match=r"focus must be \[G, 4, 16, 16\]"):
        paper_layout(np.zeros((4, 256, 3)), np.zeros(GRID.shape), GRID)
    with pytest.raises(ShapeError, match=r"features must be \[4, 256, 3\]"):
        paper_layout(np.zeros((4, 255, 3)), np.zeros((1, *GRID.shape)), GRID)
    with pytest.raises(ShapeError, match=r"affinity must be \[4, 256, C\]"):
        attention_layout(np.zeros((1, *GRID.shape)), GRID, affinity=np.zeros((3, 256, 2)))


@pytest.mark.parametrize(
    ("make", "settings", "message"),
    [
        (PaperRegions, {"rho": 0.0}, "rho must lie between 0 and 1"),
        (PaperRegions, {"quantile": 1.0}, "quantile must lie between 0 and 1"),
        (PaperRegions, {"eps": 0.0}, "eps and min_samples be positive"),
        (AttentionRegions, {"smallest": 1.5}, "smallest must lie in 0..1"),
        (AttentionRegions, {"valley": -0.5}, "must not be negative"),
    ],
)
def test_senseless_settings_are_refused(make, settings, message):
    with pytest.raises(ValueError, match=message):
        make(**settings)
