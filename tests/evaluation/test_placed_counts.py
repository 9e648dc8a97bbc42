"""The benchmark of counts per place: its cases and shares."""

import numpy as np
import pytest

from benchmarks.placed_counts import case_of, judge, summary_of
from numina.evaluation.suites import SpritesSuite
from numina.places import Placed
from numina.prompt.counts import parse_counts
from numina.sprites.world import Scene, render


@pytest.mark.parametrize("seed", [0, 7, 100_000])
def test_a_case_asks_for_one_noun_in_two_halves(seed):
    case, asked = case_of(seed)
    assert (case, asked) == case_of(seed)
    (target,) = parse_counts(case.prompt)
    assert (target.count,) == case.targets == (asked.total,)
    assert 2 <= asked.total <= 6
    assert target.places == ()


def test_a_clip_is_judged_by_where_its_instances_are():
    """Rendered clips: whatever the halves hold is right, and one more on the left is not."""
    suite = SpritesSuite()
    pipe = suite.load()
    seen = set()
    for seed in range(12):
        case, asked = case_of(seed)
        direction = "up" if " up" in case.prompt else "down"
        scene = Scene(case.prompt, direction, "night", ((case.nouns[0], asked.total),))
        frames = render(scene, np.random.default_rng(seed)).astype(np.float32) / 255
        columns = [
            np.argwhere(suite.masks(frames, case)[0][2] == part)[:, 1].mean()
            for part in range(1, asked.total + 1)
        ]
        left = sum(column < 64 for column in columns)
        if min(abs(column - 64) for column in columns) < 8:
            continue  # too near the border for a grid of patches
        right = Placed(left=left, right=asked.total - left)
        wrong = Placed(left=left + 1, right=asked.total - left)
        assert judge(pipe, suite, case, right, frames) == {"counted": True, "placed": True}
        assert judge(pipe, suite, case, wrong, frames) == {"counted": False, "placed": False}
        seen.add(seed)
    assert len(seen) >= 3


def test_shares_are_those_of_each_way():
    rows = [
        {"way": "plain", "counted": True, "placed": False},
        {"way": "restart, placed", "counted": True, "placed": True},
        {"way": "plain", "counted": False, "placed": False},
    ]
    assert summary_of(rows) == [
        {"way": "plain", "clips": 2, "counted": 0.5, "placed": 0.0},
        {"way": "restart, placed", "clips": 1, "counted": 1.0, "placed": 1.0},
    ]
