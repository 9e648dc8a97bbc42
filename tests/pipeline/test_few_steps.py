"""Distilled models: a few steps with one branch, looked at where there is a step for it."""

from dataclasses import dataclass

import pytest
import torch
from diffusers import (
    FlowMatchEulerDiscreteScheduler,
    FlowMatchLCMScheduler,
    UniPCMultistepScheduler,
)

from numina.errors import ScheduleError
from numina.generation.look_steps import look_steps, verdict_step
from numina.generation.run import PipelineRun
from numina.methods.observing import Observing
from numina.methods.robust import Robust
from tests.integrations.seam_runs import processors
from tests.pipeline.given import Given
from tests.pipeline.wide_runs import counted
from tests.tiny_cogvideox import wide_kwargs
from tests.tiny_wan import tiny_wan

pytestmark = pytest.mark.slow

SCHEDULERS = {
    "euler": lambda shift: FlowMatchEulerDiscreteScheduler(shift=shift),
    "lcm": lambda shift: FlowMatchLCMScheduler(shift=shift),
    "unipc": lambda shift: UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift
    ),
}
scheduler = pytest.mark.parametrize("scheduler", SCHEDULERS)
# Levels of four steps of UniPC at the shift of 5 that models of Wan are sampled with, about.
FOUR = (1.0, 0.94, 0.83, 0.63)


@dataclass(frozen=True)
class FindsWhereRobustLooks(Given):
    """Finds what the test tells it to, at the noise levels of the robust preset itself."""

    verdict: float = Robust.verdict
    looks: tuple[float, ...] = Robust.looks


def distilled(name: str, shift: float = 5.0):
    pipe = tiny_wan()
    pipe.scheduler = SCHEDULERS[name](shift)
    return pipe


class Runs:
    """Runs of a pipeline from the same global random state: LCM draws from it at each step."""

    def __init__(self, pipe, steps: int) -> None:
        self.pipe = pipe
        self.call = {"guidance_scale": 1.0, "num_inference_steps": steps}

    def plain(self):
        torch.manual_seed(7)
        return self.pipe(**wide_kwargs(**self.call)).frames

    def counted(self, method, mode):
        torch.manual_seed(7)
        return counted(self.pipe, method, mode, **self.call)


@scheduler
@pytest.mark.parametrize("mode", ["one-pass", "restart"])
@pytest.mark.parametrize("steps", [4, 8])
def test_counts_are_kept_in_a_few_steps(scheduler, mode, steps):
    runs = Runs(distilled(scheduler), steps)
    before, plain = processors(runs.pipe), runs.plain()
    right = runs.counted(FindsWhereRobustLooks(found=(3,)), mode)
    assert right.report.decision == "continued"
    assert torch.equal(right.frames, plain)
    wrong = runs.counted(FindsWhereRobustLooks(found=(2, 3)), mode)
    assert wrong.report.decision == "guided"
    assert any(strength for _, strength in wrong.report.strengths)
    assert not torch.equal(wrong.frames, plain)
    assert all(0 < look.step < steps for look in wrong.report.looks)
    if mode == "one-pass":
        assert wrong.report.total.forwards == steps
    assert processors(runs.pipe) == before
    assert torch.equal(runs.plain(), plain)


# On random weights a look may find no usable layout.
@pytest.mark.filterwarnings("ignore:a look changed nothing")
@scheduler
@pytest.mark.parametrize(
    ("preset", "mode"), [("robust", "one-pass"), ("robust", "restart"), ("paper", "restart")]
)
def test_the_presets_run_in_four_steps(scheduler, preset, mode):
    runs = Runs(distilled(scheduler), steps=4)
    plain = runs.plain()
    video = runs.counted(preset, mode)
    assert video.frames.isfinite().all()
    assert video.report.looks or video.report.decision == "unguided"
    assert torch.equal(runs.plain(), plain)


@pytest.mark.parametrize(
    ("scheduler", "first", "looked", "judged"),
    [
        ("euler", (1.0, 0.91, 0.72, 0.02), 1, 2),
        ("lcm", (1.0, 0.91, 0.72, 0.02), 1, 2),
        ("unipc", (1.0, 0.94, 0.83, 0.63), 2, 3),
    ],
)
def test_where_four_steps_of_a_scheduler_are_looked_at(scheduler, first, looked, judged):
    call = wide_kwargs(guidance_scale=1.0, num_inference_steps=4)
    levels = PipelineRun(distilled(scheduler), call).noises
    assert levels == pytest.approx(first, abs=0.01)
    assert look_steps(levels, Robust.looks, Robust().strength) == {looked}
    assert verdict_step(levels, Robust.verdict) == judged


def test_a_look_has_a_step_below_its_level_or_is_as_late_as_it_still_helps():
    strength = Robust().strength
    assert look_steps(FOUR, Robust.looks, strength) == {2}
    assert verdict_step(FOUR, Robust.verdict) == 3
    # Guidance ends at 0.5, so that no look behind the step before that one helps.
    assert look_steps((1.0, 0.75, 0.5, 0.25), Robust.looks, strength) == {1}
    assert look_steps((1.0, 0.9, 0.75, 0.49), Robust.looks, strength) == {1}
    # As far as no step is ever below the level.
    assert look_steps((1.0, 0.97, 0.92, 0.8), Robust.looks, strength) == {2}
    assert verdict_step((1.0, 0.97, 0.92, 0.8), Robust.verdict) == 3
    # A step that is nearly clean would be looked at too late, where the one before it will do.
    assert verdict_step((1.0, 0.9, 0.72, 0.02), Robust.verdict) == 2
    assert verdict_step((1.0, 0.02), Robust.verdict) == 1


@pytest.mark.parametrize("number", [16, 20, 50])
@pytest.mark.parametrize("shift", [3.0, 5.0, 8.0])
def test_with_many_steps_every_look_has_a_step_of_its_own_level(number, shift):
    shares = [1 - step / number for step in range(number)]
    levels = [shift * share / (1 + (shift - 1) * share) for share in shares]
    steps = look_steps(levels, Robust.looks, Robust().strength)
    first = [next(s for s, noise in enumerate(levels) if noise <= look) for look in Robust.looks]
    assert steps == set(first)
    judged = verdict_step(levels, Robust.verdict)
    assert levels[judged] <= Robust.verdict < levels[judged - 1]


def test_a_method_that_never_guides_may_look_until_the_last_step_but_one():
    levels = (1.0, 0.4, 0.3, 0.2)
    assert look_steps(levels, (0.35,), Observing(Robust()).strength) == {2}
    assert look_steps(levels, (0.1,), Observing(Robust()).strength) == {2}


@pytest.mark.parametrize("levels", [(1.0,), (1.0, 0.83), (1.0, 0.45, 0.2)])
def test_where_no_look_would_help_the_run_is_refused_with_what_would(levels):
    with pytest.raises(ScheduleError, match=rf'none of the {len(levels)} st.*mode="restart"'):
        look_steps(levels, Robust.looks, Robust().strength)


def test_restart_mode_looks_at_two_steps_and_not_at_one():
    pipe = distilled("euler")
    call = {"guidance_scale": 1.0, "num_inference_steps": 2}
    method = FindsWhereRobustLooks(found=(2, 3))
    assert counted(pipe, method, "restart", **call).report.decision == "guided"
    with pytest.raises(ScheduleError, match=r"only step.*pure noise.*2 steps or more"):
        counted(pipe, method, "restart", guidance_scale=1.0, num_inference_steps=1)
