"""Metrics of counting against figures worked out by hand."""

import numpy as np
import pytest

from numina.evaluation.metrics import (
    Observation,
    absolute_error,
    accuracy_by_count,
    bootstrap_interval,
    count_accuracy,
    reached,
    temporal_consistency,
)


def seen(targets, counts) -> Observation:
    return Observation(np.array(targets, np.int64), np.array(counts, np.int64))


# Two nouns, 3 and 1 asked for, over four frames.
CLIP = seen([3, 1], [[3, 3, 2, 3], [1, 0, 0, 2]])


def test_accuracy_is_the_share_of_frames_and_nouns_with_the_right_count():
    assert count_accuracy(CLIP) == (3 / 4 + 1 / 4) / 2


def test_consistency_is_the_share_of_neighbouring_frames_with_equal_counts():
    # First noun: 3=3, 3≠2, 2≠3; second: 1≠0, 0=0, 0≠2.
    assert temporal_consistency(CLIP) == pytest.approx(2 / 6)


def test_a_wrong_but_steady_count_is_consistent():
    assert temporal_consistency(seen([5], [[2, 2, 2]])) == 1.0
    assert count_accuracy(seen([5], [[2, 2, 2]])) == 0.0


def test_absolute_error_is_averaged_over_nouns_and_frames():
    assert absolute_error(CLIP) == (1 + 0 + 1 + 1 + 1) / 8


def test_accuracy_by_count_averages_the_nouns_of_each_target():
    clips = [CLIP, seen([3], [[3, 3, 3, 3]])]
    assert accuracy_by_count(clips) == {1: 1 / 4, 3: (3 / 4 + 1) / 2}


def test_reached_tells_additions_from_removals():
    plain = [seen([3, 1], [[2, 2, 3], [4, 4, 4]]), seen([2], [[2, 2, 9]]), seen([5], [[1, 1, 1]])]
    mended = [seen([3, 1], [[3, 3, 1], [2, 2, 1]]), seen([2], [[7, 7, 7]]), seen([5], [[4, 5, 4]])]
    # Too few: 3 (median 2, then 3: reached) and 5 (then 4: not). Too many: 1 (then 2: not). The
    # noun that was right is neither, however bad it is made.
    assert reached(plain, mended, "additions") == 0.5
    assert reached(plain, mended, "removals") == 0.0


def test_reached_is_unknown_where_nothing_was_wrong():
    right = [seen([2], [[2, 2]])]
    assert reached(right, right, "additions") is None
    assert reached(right, right, "removals") is None


def test_reached_refuses_clips_of_other_prompts():
    with pytest.raises(ValueError, match="same prompts"):
        reached([seen([2], [[2, 2]])], [seen([3], [[3, 3]])], "additions")


def test_a_half_median_reaches_nothing():
    plain, mended = [seen([3], [[2, 2]])], [seen([3], [[3, 4]])]
    assert reached(plain, mended, "additions") == 0.0


def test_the_interval_of_a_constant_is_that_constant():
    assert bootstrap_interval(np.full(7, 0.25)) == (0.25, 0.25)


def test_the_interval_has_the_width_of_a_mean_of_coins():
    values = np.repeat([0.0, 1.0], 50)
    low, high = bootstrap_interval(values)
    # 1.96 standard errors of .05 to either side of .5.
    assert low == pytest.approx(0.402, abs=0.01)
    assert high == pytest.approx(0.598, abs=0.01)
    assert bootstrap_interval(values) == (low, high)


def test_the_interval_of_a_paired_gain_knows_that_prompts_are_the_same():
    hard = np.repeat([0.0, 1.0], 50)
    gains = np.clip(hard + 0.1, 0, 1.1) - hard
    low, high = bootstrap_interval(gains)
    assert low == pytest.approx(0.1)
    assert high == pytest.approx(0.1)


@pytest.mark.parametrize("values", [np.zeros(0), np.array([0.5, np.nan]), np.zeros((2, 2))])
def test_an_interval_of_nothing_is_refused(values):
    with pytest.raises(ValueError, match="finite"):
        bootstrap_interval(values)


@pytest.mark.parametrize(
    ("targets", "counts", "message"),
    [
        ([], np.zeros((0, 3)), "a noun at least"),
        ([1, 2], [[1, 1]], "for 2 nouns"),
        ([1], [[1]], "two frames"),
        ([1], [[1, -1]], "negative"),
        ([1], [1, 1], "for 1 nouns"),
    ],
)
def test_a_broken_observation_is_refused(targets, counts, message):
    with pytest.raises(ValueError, match=message):
        seen(targets, counts)
