"""generate() on every family but Wan: both modes, right counts and wrong ones, what is left."""

from typing import Any

import pytest
import torch

from numina.generation.look_steps import first_step_at
from numina.generation.run import PipelineRun
from tests.calls import wide_call
from tests.families import FAMILIES, LAYERS, STEPS, Family
from tests.integrations.seam_runs import processors
from tests.pipeline.wide_runs import Finds, counted, left_as_it_was
from tests.tiny_cogvideox import tiny_cogvideox, wide_kwargs
from tests.tiny_hunyuan_video import tiny_hunyuan_video

pytestmark = pytest.mark.slow


# Wan has test_generate.py.
@pytest.fixture(scope="module", params=[name for name in FAMILIES if name != "wan"])
def family(request) -> Family:
    return FAMILIES[request.param]


@pytest.fixture(scope="module")
def pipe(family) -> Any:
    return family.build()


@pytest.fixture
def untouched(pipe):
    """The pipeline holds the very same processors after a test, and makes the same video."""
    with left_as_it_was(pipe) as plain:
        yield plain


@pytest.mark.parametrize("mode", ["one-pass", "restart"])
def test_a_right_count_gives_the_plain_run_bit_for_bit(pipe, family, untouched, mode):
    video = counted(pipe, Finds(found=(3,)), mode)
    assert video.report.decision == "continued"
    assert torch.equal(video.frames, untouched)
    assert video.report.total.forwards == family.forwards * STEPS


def test_one_pass_guides_without_an_extra_forward(pipe, family, untouched):
    video = counted(pipe, Finds(found=(2,)), "one-pass")
    assert video.report.decision == "guided"
    assert video.report.total.forwards == family.forwards * STEPS
    assert not torch.equal(video.frames, untouched)


def test_restart_stops_at_its_look_and_starts_again_from_the_same_noise(pipe, family, untouched):
    method = Finds(found=(2, 3))
    report = counted(pipe, method, "restart").report
    look = first_step_at(PipelineRun(pipe, wide_call(pipe)).noises, method.verdict)
    assert report.decision == "guided"
    assert [each.step for each in report.looks] == [look, look]
    stopped = family.forwards * (look + 1 / family.passes)
    assert report.identify.forwards == pytest.approx(stopped)
    assert report.total.forwards == pytest.approx(stopped + family.forwards * STEPS)


class Powerless(Finds):
    """Finds a count wrong, and guides with no strength at all."""

    def strength(self, noise, progress):
        return 0.0


def test_a_second_attempt_draws_the_noise_of_the_first(pipe, untouched):
    """An ancestral scheduler draws at every step."""
    video = counted(pipe, Powerless(found=(2, 3)), "restart")
    assert len(video.report.looks) == 2
    assert torch.equal(video.frames, untouched)


def test_looks_see_the_grid_and_the_clean_latent(pipe, untouched):
    method = Finds(found=(3,))
    counted(pipe, method, "one-pass")
    (capture,) = method.captures
    assert capture.probs.shape == (LAYERS, 2, 1, *capture.grid.shape)
    assert capture.clean.shape[1] == capture.grid.frames
    # LTX has no patches in space, the others patches of 2 x 2.
    assert capture.clean.shape[2:] in [(6, 6), (12, 12)]
    assert capture.grid.shape[1:] == (6, 6)


# On random weights a look may find no usable layout.
@pytest.mark.filterwarnings("ignore:a look changed nothing")
@pytest.mark.parametrize("preset", ["robust", "robust-attention", "paper"])
def test_the_presets_run(pipe, untouched, preset):
    mode = "restart" if preset == "paper" else "one-pass"
    video = counted(pipe, preset, mode, num_inference_steps=8)
    assert video.frames.isfinite().all()


def test_without_guidance_scale_the_only_branch_is_guided(pipe, untouched):
    video = counted(pipe, Finds(found=(2, 3)), "restart", guidance_scale=1.0)
    assert video.report.decision == "guided"
    right = counted(pipe, Finds(found=(3,)), "one-pass", guidance_scale=1.0)
    assert torch.equal(right.frames, pipe(**wide_call(pipe, guidance_scale=1.0)).frames)
    assert right.report.total.forwards == STEPS


def test_each_prompt_of_a_list_has_its_own_plan(pipe, family, untouched):
    method = Finds(found=(3, 2))
    prompts = ["a video of three cats playing", "two dogs and one cat on the grass"]
    lists = {"prompt": prompts, "negative_prompt": ["blurry", "blurry"]}
    if not family.lists:
        with pytest.raises(ValueError, match="list of prompts is not yet supported"):
            counted(pipe, method, "one-pass", **lists)
        return
    video = counted(pipe, method, "one-pass", **lists)
    assert [[t.count for t in report.targets] for report in video.reports] == [[3], [2, 1]]
    assert [report.decision for report in video.reports] == ["continued", "guided"]


def test_fused_projections_are_guided_too():
    pipe = tiny_cogvideox()
    pipe.fuse_qkv_projections()
    before, plain = processors(pipe), pipe(**wide_kwargs()).frames
    video = counted(pipe, Finds(found=(2,)), "one-pass")
    assert video.report.decision == "guided"
    assert processors(pipe) == before
    assert torch.equal(pipe(**wide_kwargs()).frames, plain)


def test_true_guidance_of_hunyuan_video_has_an_unconditional_pass_with_its_own_text():
    pipe, forwards = tiny_hunyuan_video(), 2 * STEPS
    encoded = []
    pipe.text_encoder.register_forward_hook(lambda *_: encoded.append(1))
    plain = pipe(**wide_kwargs(true_cfg_scale=3.0)).frames
    assert not torch.equal(plain, pipe(**wide_kwargs()).frames)
    encoded.clear()

    right = counted(pipe, Finds(found=(3,)), "one-pass", true_cfg_scale=3.0)
    assert torch.equal(right.frames, plain)
    assert right.report.total.forwards == forwards
    assert len(encoded) == 2
    again = counted(pipe, Finds(found=(2, 3)), "restart", true_cfg_scale=3.0)
    assert again.report.decision == "guided"
    assert again.report.total.forwards > forwards
    assert len(encoded) == 4
