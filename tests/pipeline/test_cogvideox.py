"""generate() on CogVideoX: both modes, right counts and wrong ones, and what is left behind."""

import pytest
import torch
from diffusers import CogVideoXPipeline

from numina.generation.run import first_step_at, noise_levels
from numina.pipeline import generate
from tests.pipeline.given import Given
from tests.tiny_cogvideox import tiny_cogvideox, wide_kwargs

STEPS, LAYERS = 4, 3


@pytest.fixture(scope="module", params=["2b", "5b", "1.5"])
def cogvideox(request) -> CogVideoXPipeline:
    return tiny_cogvideox(request.param)


def counted(pipe, preset, mode, **changes):
    call = wide_kwargs(**changes)
    prompt = call.pop("prompt")
    counts = "auto" if isinstance(prompt, list) else {"cats": 3}
    return generate(pipe, prompt, counts=counts, preset=preset, mode=mode, **call)


def processors(pipe):
    return {name: id(processor) for name, processor in pipe.transformer.attn_processors.items()}


@pytest.fixture
def untouched(cogvideox):
    """The pipeline holds the very same processors after a test, and makes the same video."""
    before, plain = processors(cogvideox), cogvideox(**wide_kwargs()).frames
    yield plain
    assert processors(cogvideox) == before
    assert "cache_context" not in vars(cogvideox.transformer)
    assert "encode_prompt" not in vars(cogvideox)
    assert torch.equal(cogvideox(**wide_kwargs()).frames, plain)


@pytest.mark.parametrize("mode", ["one-pass", "restart"])
def test_a_right_count_gives_the_plain_run_bit_for_bit(cogvideox, untouched, mode):
    video = counted(cogvideox, Given(found=(3,)), mode)
    assert video.report.decision == "continued"
    assert torch.equal(video.frames, untouched)
    assert video.report.total.forwards == 2 * STEPS


def test_one_pass_guides_without_an_extra_forward(cogvideox, untouched):
    video = counted(cogvideox, Given(found=(2,)), "one-pass")
    assert video.report.decision == "guided"
    assert video.report.total.forwards == 2 * STEPS
    assert not torch.equal(video.frames, untouched)


def test_restart_stops_at_its_look_and_starts_again_from_the_same_noise(cogvideox, untouched):
    method = Given(found=(2, 3))
    report = counted(cogvideox, method, "restart").report
    look = first_step_at(noise_levels(cogvideox, {"num_inference_steps": STEPS}), method.verdict)
    assert report.decision == "guided"
    assert [each.step for each in report.looks] == [look, look]
    assert report.identify.forwards == pytest.approx(2 * (look + 1))
    assert report.total.forwards == pytest.approx(report.identify.forwards + 2 * STEPS)


def test_looks_see_the_grid_and_the_clean_latent(cogvideox, untouched):
    method = Given(found=(3,))
    counted(cogvideox, method, "one-pass")
    (capture,) = method.captures
    assert capture.probs.shape == (LAYERS, 2, 1, *capture.grid.shape)
    assert capture.clean.shape[1:] == (capture.grid.frames, 12, 12)


# On random weights a look may find no usable layout.
@pytest.mark.filterwarnings("ignore:a look changed nothing")
@pytest.mark.parametrize("preset", ["robust", "robust-attention", "paper"])
def test_the_presets_run(cogvideox, untouched, preset):
    mode = "restart" if preset == "paper" else "one-pass"
    video = counted(cogvideox, preset, mode, num_inference_steps=8)
    assert video.frames.isfinite().all()


def test_without_guidance_scale_the_only_branch_is_guided(cogvideox, untouched):
    video = counted(cogvideox, Given(found=(2, 3)), "restart", guidance_scale=1.0)
    assert video.report.decision == "guided"
    right = counted(cogvideox, Given(found=(3,)), "one-pass", guidance_scale=1.0)
    assert torch.equal(right.frames, cogvideox(**wide_kwargs(guidance_scale=1.0)).frames)
    assert right.report.total.forwards == STEPS


def test_each_prompt_of_a_list_has_its_own_plan(cogvideox, untouched):
    prompts = ["a video of three cats playing", "two dogs and one cat on the grass"]
    negative = ["blurry", "blurry"]
    video = counted(
        cogvideox, Given(found=(3, 2)), "one-pass", prompt=prompts, negative_prompt=negative
    )
    assert [[t.count for t in report.targets] for report in video.reports] == [[3], [2, 1]]
    assert [report.decision for report in video.reports] == ["continued", "guided"]


def test_fused_projections_are_guided_too():
    pipe = tiny_cogvideox()
    pipe.fuse_qkv_projections()
    before, plain = processors(pipe), pipe(**wide_kwargs()).frames
    video = counted(pipe, Given(found=(2,)), "one-pass")
    assert video.report.decision == "guided"
    assert processors(pipe) == before
    assert torch.equal(pipe(**wide_kwargs()).frames, plain)
