"""Outlines enclose exactly the patches of their instance."""

import re

import numpy as np
import pytest
from report import made

from numina.layout import RegionClass
from numina.report.outlines import outlines_after, outlines_before, trace


def area(path: str) -> float:
    """Signed area of all subpaths; holes count against it."""
    total = 0.0
    for subpath in path.split("Z"):
        points = np.array(re.findall(r"-?\d+ -?\d+", subpath))
        if len(points):
            x, y = np.array([p.split() for p in points], float).T
            total += (x * np.roll(y, -1) - y * np.roll(x, -1)).sum() / 2
    return total


def test_a_square_has_four_corners():
    mask = np.zeros((4, 4), bool)
    mask[1:3, 1:3] = True
    assert trace(mask) == "M1 1 L3 1 L3 3 L1 3 Z"


@pytest.mark.parametrize("seed", range(20))
def test_the_enclosed_area_is_the_number_of_patches(seed):
    mask = np.random.default_rng(seed).random((7, 9)) < 0.5
    assert area(trace(mask)) == mask.sum()


def test_nothing_has_no_outline():
    assert trace(np.zeros((3, 3), bool)) == ""


def test_what_goes_is_still_there_before_and_a_ghost_after():
    edit = made.removal((0, 0), (2,))
    before = {outline.x: outline.state for outline in outlines_before(edit, 0)}
    assert list(before.values()) == [RegionClass.KEPT, RegionClass.REMOVED]
    states = [outline.state for outline in outlines_after(edit, 0)]
    assert states == [RegionClass.REMOVED, RegionClass.KEPT]


def test_a_brief_sighting_goes_and_what_a_frame_lacked_is_kept():
    edit = made.steadied()
    seen = [[outline.state for outline in outlines_before(edit, frame)] for frame in range(3)]
    assert seen == [[RegionClass.KEPT] * 2 + [RegionClass.REMOVED], [RegionClass.KEPT] * 2,
                    [RegionClass.KEPT]]  # fmt: skip
    states = [outline.state for outline in outlines_after(edit, 0)]
    assert states == [RegionClass.REMOVED, RegionClass.KEPT, RegionClass.KEPT]
    assert [outline.state for outline in outlines_after(edit, 2)] == [RegionClass.KEPT] * 2


def test_what_is_new_is_added_after_only():
    edit = made.addition((0,), (0,))
    assert len(outlines_before(edit, 0)) == 1
    states = [outline.state for outline in outlines_after(edit, 0)]
    assert states == [RegionClass.KEPT, RegionClass.ADDED]
