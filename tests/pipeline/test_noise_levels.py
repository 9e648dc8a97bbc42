"""Levels before a run: as the pipeline sets them, at no forward pass, and without a trace."""

from itertools import count
from types import SimpleNamespace

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from numina.errors import AlreadyGuidedError, ScheduleError
from numina.generation.run import PipelineRun
from numina.integrations import adapter_for, attached
from tests.pipeline.short_runs import arguments, is_clean, plain
from tests.tiny_wan import tiny_wan


def test_the_pipeline_is_left_as_it_was(pipe):
    expected, scheduler = plain(pipe), pipe.scheduler
    config, torch_state = dict(pipe.config), torch.get_rng_state()
    before = dict(vars(scheduler))
    generator = torch.Generator().manual_seed(3)
    state = generator.get_state()
    levels = PipelineRun(pipe, arguments(num_inference_steps=7, generator=generator)).noises
    assert len(levels) == 7
    assert pipe.scheduler is scheduler
    assert vars(scheduler) == before
    assert dict(pipe.config) == config
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert torch.equal(generator.get_state(), state)
    assert is_clean(pipe)
    assert torch.equal(plain(pipe), expected)


def test_no_forward_pass_is_made_and_the_prompt_is_encoded_once(pipe):
    calls, encoded = [], []
    hooks = [
        pipe.transformer.register_forward_pre_hook(lambda *_: calls.append(1)),
        pipe.text_encoder.register_forward_pre_hook(lambda *_: encoded.append(1)),
    ]
    try:
        run = PipelineRun(pipe, arguments())
        _ = run.noises, run.noises
        assert (len(calls), len(encoded)) == (0, 2)
        run.attempt({}, "")
        assert (len(calls), len(encoded)) == (8, 2)
    finally:
        for hook in hooks:
            hook.remove()


def test_the_time_of_encoding_is_part_of_the_first_attempt(pipe, monkeypatch):
    ticks = count(step=100.0)
    clock = SimpleNamespace(perf_counter=lambda: next(ticks))
    monkeypatch.setattr("numina.generation.run.time", clock)
    run = PipelineRun(pipe, arguments(num_inference_steps=1))
    _ = run.noises
    assert [run.attempt({}, "").cost.seconds for _ in range(2)] == [200.0, 100.0]


def test_steps_that_are_left_out_are_the_pipelines_own_default():
    pipe = tiny_wan(layers=1)
    call = arguments()
    del call["num_inference_steps"]
    assert len(PipelineRun(pipe, call).noises) == 50


def test_a_pipeline_that_is_held_is_not_called(pipe):
    run = PipelineRun(pipe, arguments())
    with (
        attached(pipe.transformer, {}, adapter_for(pipe.transformer)),
        pytest.raises(AlreadyGuidedError),
    ):
        _ = run.noises


def test_a_pipeline_that_never_sets_its_scheduler_is_refused():
    class Silent:
        transformer = tiny_wan(layers=1).transformer
        scheduler = FlowMatchEulerDiscreteScheduler()

        def encode_prompt(self):
            raise AssertionError("is not called")

        def __call__(self, **call):
            return None

    with pytest.raises(ScheduleError, match="Silent ran without setting its scheduler's timesteps"):
        _ = PipelineRun(Silent(), {}).noises
