"""What stands out of a map."""

import math

import numpy as np
import pytest

from numina.identify.relief import Relief, ReliefSpec, otsu_threshold, relief_of, smooth_relief

RNG = np.random.default_rng


def boxes(side, *corners, frames=3, shape=(24, 32)):
    """Squares of height 1 on a ground of 0."""
    values = np.zeros((frames, *shape))
    for row, column in corners:
        values[:, row : row + side, column : column + side] = 1
    return values


def test_otsu_is_the_best_of_all_thresholds():
    values = RNG(0).integers(0, 12, 60) + RNG(1).normal(0, 0.1, 60)
    threshold = otsu_threshold(values)

    def between(at):
        low, high = values[values <= at], values[values > at]
        return len(low) * len(high) * (low.mean() - high.mean()) ** 2

    best = max(between(at) for at in np.sort(values)[:-1])
    assert between(threshold) == pytest.approx(best)


def test_a_flat_map_has_no_threshold():
    assert otsu_threshold(np.full(5, 0.3)) == math.inf
    assert otsu_threshold(np.zeros(1)) == math.inf


def test_heights_by_hand():
    """Ground 0 without noise, objects at 1 and 3 in equal numbers, Otsu's threshold at 1/2 or 2."""
    values = np.zeros((1, 10, 10))
    values[0, 0, :5], values[0, 1, :5] = 3, 3
    relief = relief_of(values, ReliefSpec(level=1.0))
    # One threshold parts 0 and 3 halfway: 1.5 is the unit over it.
    assert relief.height.max() == pytest.approx(1.0)
    assert relief.height.min() == relief.ground == pytest.approx(-1.0)
    assert relief.noise == 0
    lower = relief_of(values, ReliefSpec(level=0.5))  # threshold 0.75, unit 2.25
    assert lower.ground == pytest.approx(-0.75 / 2.25)
    np.testing.assert_allclose(lower.over_ground, values / 3)


def test_the_floor_keeps_the_threshold_out_of_the_noise():
    values = boxes(2, (4, 4)) * 8 + RNG(0).standard_normal((3, 24, 32))
    relief = relief_of(values, ReliefSpec(level=0.0, floor=3.0))
    assert relief.noise == pytest.approx(-relief.ground / 3.0)
    assert (relief.height > 0)[:, 4:6, 4:6].all()
    assert (relief.height > 0).mean() < 0.01


def test_noise_alone_stands_out_nowhere():
    for seed in range(10):
        noise = RNG(seed).standard_normal((8, 24, 24))
        assert (smooth_relief(noise, ReliefSpec()).height < 0).all()
    assert (smooth_relief(noise, ReliefSpec(contrast=0)).height > 0).any()


def test_a_flat_map_stands_out_nowhere():
    relief = smooth_relief(np.full((2, 5, 5), 0.1), ReliefSpec())
    assert (relief.height < 0).all()
    assert (relief.over_ground == 0).all()


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6])
def test_the_ground_is_the_lower_heap_however_much_stands_out(share):
    values = RNG(0).normal(0, 0.1, (2, 20, 20))
    values[:, : round(20 * share)] += 1
    relief = relief_of(values, ReliefSpec())
    assert relief.over_ground[:, -1].mean() == pytest.approx(0, abs=0.05)
    assert ((relief.height > 0) == (values > 0.5)).all()


def test_unit_and_offset_do_not_matter():
    values = boxes(3, (3, 3), (10, 20)) + 0.1 * RNG(0).standard_normal((3, 24, 32))
    one, other = (smooth_relief(x, ReliefSpec()) for x in (values, 50 * values - 7))
    np.testing.assert_allclose(one.height, other.height, atol=1e-9)
    assert one.ground == pytest.approx(other.ground)


def test_larger_parts_are_smoothed_more():
    spec = ReliefSpec(over_frames=0.0)
    grain = 0.05 * RNG(0).standard_normal((3, 60, 80))

    def roughness(side):
        values = boxes(side, (4, 4), (32, 4), shape=(60, 80)) + grain
        return smooth_relief(values, spec).over_ground[:, :, 40:].std()

    assert roughness(20) < 0.6 * roughness(4)


def test_frames_are_smoothed_over_time_if_asked():
    values = boxes(4, (4, 4), frames=1, shape=(16, 16)).repeat(7, 0)
    flicker = values * np.array([1, 1, 1, 0, 1, 1, 1])[:, None, None]
    seen = smooth_relief(flicker, ReliefSpec(over_frames=1.5)).height > 0
    assert seen[3].any()
    assert not (smooth_relief(flicker, ReliefSpec(over_frames=0)).height > 0)[3].any()


def test_over_ground_is_zero_on_the_ground_and_one_on_top():
    relief = Relief(np.array([[[-2.0, 0.0, 1.0]]]), ground=-2.0, noise=0.1, prominence=3.0)
    np.testing.assert_allclose(relief.over_ground, [[[0, 2 / 3, 1]]])


def test_prominence_is_in_the_unit_of_the_map():
    values = boxes(4, (4, 4), frames=2, shape=(16, 16)) + 0.01 * np.random.default_rng(0).random(
        (2, 16, 16)
    )
    one, tenfold = (smooth_relief(factor * values + 3, ReliefSpec()) for factor in (1, 10))
    assert tenfold.prominence == pytest.approx(10 * one.prominence)
    assert 0.5 < one.prominence < 1
    np.testing.assert_allclose(tenfold.height, one.height, atol=1e-6)
    assert smooth_relief(np.ones((2, 16, 16)), ReliefSpec()).prominence == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"smoothing": -0.1}, "smoothing must not be negative"),
        ({"contrast": -0.1}, "contrast must not be negative"),
        ({"level": 1.5}, "level must lie in 0..1, got 1.5"),
    ],
)
def test_senseless_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        ReliefSpec(**settings)
