"""Calls that are compared take turns, and every sample is kept."""

import pytest
import torch

from numina_kernels.timing import take_turns


def test_calls_take_turns_and_every_sample_is_kept():
    order = []
    calls = {name: lambda name=name: order.append(name) for name in ("ours", "theirs")}

    samples = take_turns(calls, "cpu", repeats=3)

    assert order == ["ours", "theirs"] * 3
    assert {name: len(taken) for name, taken in samples.items()} == {"ours": 3, "theirs": 3}
    assert all(second >= 0 for taken in samples.values() for second in taken)


def test_one_round_is_taken_however_little_time_there_is():
    samples = take_turns({"ours": lambda: None}, "cpu", repeats=5, seconds=-1)
    assert len(samples["ours"]) == 1


def test_nothing_to_time_gives_no_samples():
    assert take_turns({}, "cpu", repeats=2) == {}


@pytest.mark.gpu
def test_a_device_is_timed_by_its_own_clock():
    side = torch.ones(4096, 4096, device="cuda")
    calls = {"one": lambda: side @ side, "four": lambda: [side @ side for _ in range(4)]}
    for call in calls.values():
        call()

    samples = take_turns(calls, "cuda", repeats=5)

    assert 2 < sorted(samples["four"])[2] / sorted(samples["one"])[2] < 8
