"""generate(): what each fault of prompt, memory, schedule or user code gets (faults B and C)."""

import pytest
import torch

from numina.attention.capture import Recorder
from numina.errors import (
    CaptureMissedError,
    NuminaError,
    OutOfMemoryError,
    PromptError,
    ScheduleError,
    TargetError,
    UnsupportedModelError,
)
from numina.pipeline import generate
from tests.pipeline.given import Given
from tests.pipeline.short_runs import arguments, counted, is_clean, plain


@pytest.mark.parametrize("mode", ["one-pass", "restart"])
@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_an_exception_in_the_users_callback_passes_through(pipe, mode, error):
    """Cases 31 and 32: the original exception, and everything restored."""
    expected = plain(pipe)

    def fail(pipeline, step, timestep, tensors):
        if step == 2:
            raise error("from the callback")
        return tensors

    with pytest.raises(error, match="from the callback"):
        counted(pipe, (2, 3), mode=mode, callback_on_step_end=fail)
    assert is_clean(pipe)
    assert torch.equal(plain(pipe), expected)


class ExhaustedByLooking(Given):
    def identify(self, capture, expected=None):
        raise torch.OutOfMemoryError("CUDA out of memory")


class ExhaustedByGuiding(Given):
    def plan(self, edits, num_nouns):
        raise torch.OutOfMemoryError("CUDA out of memory")


EXHAUSTED = [ExhaustedByLooking(found=(2,)), ExhaustedByGuiding(found=(2,))]


@pytest.mark.parametrize("mode", ["one-pass", "restart"])
@pytest.mark.parametrize("method", EXHAUSTED)
def test_running_out_of_memory_names_the_knobs(pipe, method, mode):
    """Case 33."""
    call = arguments()
    prompt = call.pop("prompt")
    with pytest.raises(OutOfMemoryError, match=r"peak of .* GiB .*fewer frames.*offload.*on_oom"):
        generate(pipe, prompt, preset=method, mode=mode, **call)
    assert is_clean(pipe)


@pytest.mark.parametrize("mode", ["one-pass", "restart"])
@pytest.mark.parametrize("method", EXHAUSTED)
def test_running_out_of_memory_may_fall_back_to_a_plain_run_on_request(pipe, method, mode):
    """Case 33."""
    call = arguments()
    prompt = call.pop("prompt")
    with pytest.warns(UserWarning, match="out of memory"):
        video = generate(pipe, prompt, preset=method, mode=mode, on_oom="unguided", **call)
    assert video.report.decision == "unguided"
    assert torch.equal(video.frames, plain(pipe))


@pytest.mark.parametrize("mode", ["one-pass", "restart"])
def test_no_usable_layout_leaves_the_run_unguided_with_a_warning(pipe, mode):
    """Case 40."""
    with pytest.warns(UserWarning, match="no usable layout"):
        video = counted(pipe, (None,), mode=mode)
    assert video.report.decision == "unguided"
    assert torch.equal(video.frames, plain(pipe))


@pytest.mark.parametrize("mode", ["one-pass", "restart"])
def test_a_layout_without_room_leaves_the_run_unguided_with_a_warning(pipe, mode):
    """What was seen may be mistaken: the run is not lost for it."""
    with pytest.warns(UserWarning, match=r"no room: 500 instances of cats.* ask for \d+ or fewer"):
        video = counted(pipe, (2,), counts={"cats": 500}, mode=mode)
    assert video.report.decision == "unguided"
    assert "no room" in video.report.reason
    assert torch.equal(video.frames, plain(pipe))


@pytest.mark.parametrize("steps", [1, 2])
def test_too_few_steps_to_look_are_refused_before_any_work(pipe, steps):
    """Case 39."""
    calls = []
    handle = pipe.transformer.register_forward_pre_hook(lambda *_: calls.append(1))
    try:
        with pytest.raises(ScheduleError, match=r"noise level of 0\.90 or lower"):
            counted(pipe, (2,), num_inference_steps=steps)
    finally:
        handle.remove()
    assert not calls


@pytest.mark.parametrize("steps", [6, 8, 30])
def test_other_step_counts_are_followed_by_noise_level(pipe, steps):
    """Case 39."""
    video = counted(pipe, (2,), num_inference_steps=steps)
    assert video.report.decision == "guided"
    assert video.report.looks[0].noise <= 0.9


@pytest.mark.parametrize("steps", [0, -1, 2.5, True])
def test_a_step_count_that_is_none_is_refused(pipe, steps):
    with pytest.raises(ScheduleError, match="positive integer"):
        counted(pipe, (2,), num_inference_steps=steps)


def test_a_count_that_is_none_is_refused_before_any_work(pipe):
    with pytest.raises(TargetError):
        counted(pipe, (2,), counts={"cats": -1})


def test_a_foreign_transformer_is_refused(pipe):
    """Case 41."""

    class Pipe:
        transformer = torch.nn.Linear(1, 1)

    with pytest.raises(UnsupportedModelError, match="no adapter for Linear"):
        generate(Pipe(), "three cats")


def test_options_that_mean_nothing_are_refused(pipe):
    with pytest.raises(ValueError, match="mode must be"):
        counted(pipe, (2,), mode="twice")
    with pytest.raises(ValueError, match="rounds must be"):
        counted(pipe, (2,), rounds=0)
    with pytest.raises(ValueError, match="on_oom must be"):
        counted(pipe, (2,), on_oom="pray")
    with pytest.raises(ValueError, match="no preset"):
        generate(pipe, "three cats", preset="magic")
    with pytest.raises(ValueError, match="has no one-pass mode"):
        generate(pipe, "three cats", preset="paper", mode="one-pass")


def test_a_look_that_never_comes_is_an_error(pipe, monkeypatch):
    """Case 38: a cache that skips the layers to be looked at."""
    monkeypatch.setattr(Recorder, "_records", lambda self, moment: False)
    with pytest.raises(CaptureMissedError, match="disable_cache"):
        counted(pipe, (2,), mode="restart")
    assert is_clean(pipe)


def test_the_interrupted_run_is_handed_back(pipe):
    """Case 32: the user interrupts through the pipeline's own switch."""

    def interrupt(pipeline, step, timestep, tensors):
        pipeline._interrupt = True
        return tensors

    expected = plain(pipe, callback_on_step_end=interrupt)
    video = counted(pipe, (2,), callback_on_step_end=interrupt)
    assert torch.equal(video.frames, expected)
    assert video.report.decision == "unguided"
    assert video.report.reason == "the run was interrupted before its first look"


def test_every_error_is_ours():
    for error in (PromptError, TargetError, ScheduleError, UnsupportedModelError, OutOfMemoryError):
        assert issubclass(error, NuminaError)
