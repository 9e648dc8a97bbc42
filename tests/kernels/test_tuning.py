"""A configuration is chosen only where it runs, is right, and clearly wins."""

import math

import pytest
import torch

from numina_kernels import ImplementationError

pytest.importorskip("triton", reason="triton is not installed: pip install 'triton>=3.6'")

from numina_kernels.triton import configs, tuning
from numina_kernels.triton.configs import Form, LaunchConfig, Place, candidates, shipped
from numina_kernels.triton.launch import OutOfResources
from numina_kernels.triton.tuning import Workload, choose, line

PLACE = Place(90, Form.STREAM, 16, 128)
USUAL = shipped(PLACE)[0]
FAST, WRONG, LARGE = tuning.CANDIDATES[Form.STREAM][:3]


@pytest.fixture(autouse=True)
def _as_shipped(monkeypatch):
    monkeypatch.setattr(configs, "_PREFERRED", {})


def workload(too_large=()):
    """A call whose result tells the configuration it was launched with."""

    def call():
        config = candidates(*PLACE)[0]
        if config in too_large:
            raise OutOfResources(300_000, 200_000, "shared memory")
        return torch.full((3,), 2.0 if config == WRONG else 1.0)

    return Workload(PLACE, {"first": call, "second": call})


def timed(seconds):
    """A measure by which a configuration takes ``seconds``, and every other one a second."""
    asked = []

    def measure(calls):
        asked.extend(calls)
        samples = {}
        for name, call in calls.items():
            assert torch.equal(call(), torch.ones(3))
            known = (s for config, s in seconds.items() if name.endswith(tuning.describe(config)))
            samples[name] = [next(known, 1.0)] * 3
        return samples

    measure.asked = asked
    return measure


def test_the_clearly_fastest_right_one_is_chosen():
    measure = timed({FAST: 0.5, WRONG: 0.1, LARGE: 0.1})
    choice = choose(workload(too_large=(LARGE,)), measure, end=math.inf)

    assert choice.config == FAST
    assert choice.gain == pytest.approx(0.5)
    faults = {trial.config: trial.fault for trial in choice.trials if trial.fault}
    assert faults.keys() == {WRONG, LARGE}
    assert faults[WRONG] == "first: the result is not that of the shipped configuration"
    assert faults[LARGE].startswith("first: OutOfResources: ")
    assert not any(tuning.describe(WRONG) in name for name in measure.asked)
    assert "0.50 of the shipped one's time (2 of" in line(choice)
    assert candidates(*PLACE) == shipped(PLACE)


def test_the_shipped_one_stays_where_nothing_clearly_wins():
    choice = choose(workload(), timed({FAST: 0.98}), end=math.inf)
    assert choice.config == choice.usual == USUAL
    assert "as shipped" in line(choice)


def test_a_call_that_became_slower_counts():
    def measure(calls):
        return {
            name: [4.0 if "second" in name else 0.5]
            if name.endswith(tuning.describe(FAST))
            else [1.0]
            for name in calls
        }

    choice = choose(workload(), measure, end=math.inf)
    assert choice.relative(choice.trial(FAST)) == pytest.approx(math.sqrt(2.0))
    assert choice.config == USUAL


def test_where_time_is_short_only_the_shipped_one_is_tried():
    choice = choose(workload(), timed({FAST: 0.1}), end=-math.inf)
    assert choice.config == USUAL
    assert choice.trial(FAST).fault == "no time was left"


def test_the_shipped_one_that_fits_is_what_others_are_held_against():
    place = PLACE._replace(width=256)
    first, second = shipped(place)

    def call():
        for config in candidates(*place):
            if config == second:
                return torch.ones(3)
        raise OutOfResources(300_000, 200_000, "shared memory")

    choice = choose(Workload(place, {"only": call}), timed({}), end=math.inf)
    assert choice.usual == choice.config == second
    assert choice.trial(first).fault is not None


def test_where_nothing_runs_that_is_an_error():
    def call():
        if len(candidates(*PLACE)) == 1 and isinstance(candidates(*PLACE)[0], LaunchConfig):
            raise RuntimeError("PassManager::run failed")
        return torch.ones(3)

    with pytest.raises((ImplementationError, RuntimeError), match="PassManager::run failed"):
        choose(Workload(PLACE, {"only": call}), timed({}), end=math.inf)


def test_only_a_cuda_device_is_tuned():
    with pytest.raises(ImplementationError, match="timed on a CUDA device, got cpu"):
        tuning.tune("cpu", (64,), seconds=1.0, tell=print)
