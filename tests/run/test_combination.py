"""How a pipeline combines the passes of a step: by hand, of two videos of two numbers."""

import pytest
import torch

from numina.combination import Combination

CLEAN = {
    "cond": torch.tensor([[1.0, 3.0], [0.0, 2.0]]),
    "uncond": torch.tensor([[0.0, 1.0], [1.0, 1.0]]),
    "perturbed": torch.tensor([[1.0, 1.0], [0.0, 0.0]]),
    "isolated": torch.tensor([[0.0, 3.0], [2.0, 2.0]]),
}


@pytest.mark.parametrize(
    ("combination", "expected"),
    [
        (Combination(), [[1.0, 3.0], [0.0, 2.0]]),
        (Combination(3.0), [[3.0, 7.0], [-2.0, 4.0]]),
        (Combination(perturbed=0.5), [[1.0, 4.0], [0.0, 3.0]]),
        (Combination(isolated=2.0), [[3.0, 3.0], [-4.0, 2.0]]),
        (Combination(3.0, 0.5, 2.0), [[5.0, 8.0], [-6.0, 5.0]]),
        # Standard deviations of 2 numbers are proportional to their differences: 2 and 4 of the
        # first video, 2 and 6 of the second.
        (Combination(3.0, rescale=1.0), [[1.5, 3.5], [-2 / 3, 4 / 3]]),
        (Combination(3.0, rescale=0.5), [[2.25, 5.25], [-4 / 3, 8 / 3]]),
        # As diffusers has it.
        (Combination(3.0, rescale=-1.0), [[3.0, 7.0], [-2.0, 4.0]]),
    ],
)
def test_passes_are_weighted_and_each_video_rescaled_by_itself(combination, expected):
    needed = {branch: CLEAN[branch] for branch in combination.branches}
    torch.testing.assert_close(combination.of(needed), torch.tensor(expected))


def test_passes_without_weight_are_not_needed():
    assert Combination().branches == {"cond"}
    assert Combination(0.5).branches == {"cond", "uncond"}
    assert Combination(1.0, perturbed=1.0).branches == {"cond", "perturbed"}
