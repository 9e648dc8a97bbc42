"""generate(): what it costs, what it leaves alone, and what it leaves behind."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers.callbacks import PipelineCallback

from numina.attention.capture import CaptureSpec
from numina.errors import PromptError
from numina.identify.tracks import Tracks
from numina.layout import Layout
from numina.methods.method import Sighting
from numina.pipeline import generate
from tests.pipeline.given import Given
from tests.pipeline.short_runs import LAYERS, LOOK, STEPS, arguments, counted, is_clean, plain
from tests.tiny_wan import run_kwargs, tiny_wan


@pytest.mark.parametrize("mode", ["one-pass", "restart"])
def test_a_right_count_gives_the_plain_run_bit_for_bit(pipe, mode):
    video = counted(pipe, (3,), mode=mode)
    assert torch.equal(video.frames, plain(pipe))
    assert video.report.decision == "continued"
    assert video.report.total.forwards == 2 * STEPS
    assert is_clean(pipe)


def test_one_pass_guides_without_an_extra_forward(pipe):
    video = counted(pipe, (2,), mode="one-pass")
    assert video.report.decision == "guided"
    assert video.report.total.forwards == 2 * STEPS
    assert not torch.equal(video.frames, plain(pipe))
    assert torch.equal(plain(pipe), plain(pipe))
    assert is_clean(pipe)


def test_restart_stops_right_after_the_layer_it_looks_at(pipe):
    video = counted(pipe, (2, 3), mode="restart")
    report = video.report
    assert report.decision == "guided"
    # Two forwards a step up to the look, then the conditional one up to the last captured layer.
    assert report.identify.forwards == pytest.approx(2 * LOOK + LAYERS / LAYERS)
    assert report.total.forwards == pytest.approx(report.identify.forwards + 2 * STEPS)
    assert [look.round for look in report.looks] == [0, 1]


def test_restart_leaves_the_forward_in_the_middle_where_a_middle_layer_suffices(pipe):
    method = replace(Given(found=(2, 3)), capture=CaptureSpec(cross=(0.0, 0.5)))
    call = arguments()
    prompt = call.pop("prompt")
    video = generate(pipe, prompt, counts={"cats": 3}, preset=method, mode="restart", **call)
    assert video.report.identify.forwards == pytest.approx(2 * LOOK + 2 / LAYERS)


def test_rounds_go_on_while_the_look_says_wrong(pipe):
    report = counted(pipe, (2, 2, 2), mode="restart", rounds=2).report
    assert [look.round for look in report.looks] == [0, 1, 2]
    stopped = 2 * LOOK + 1
    assert report.total.forwards == pytest.approx(2 * stopped + 2 * STEPS)


def test_one_pass_waits_for_what_has_not_formed_yet_but_not_for_ever(pipe):
    looks, changes = (0.9, 0.8), {"num_inference_steps": 2 * STEPS}
    for found, first_asked in (((0, 2), 2), ((0, 0), 0)):
        method, call = Given(found=found, looks=looks), arguments(**changes)
        prompt = call.pop("prompt")
        video = generate(pipe, prompt, counts={"cats": 3}, preset=method, mode="one-pass", **call)
        early, late = video.report.looks
        assert early.edit.is_empty
        assert len(method.enforced) == 1
        assert late.edit.before.count(0) == first_asked
    # Where all is right once it has formed, nothing is changed.
    method, call = Given(found=(0, 3), looks=looks), arguments(**changes)
    prompt = call.pop("prompt")
    video = generate(pipe, prompt, counts={"cats": 3}, preset=method, mode="one-pass", **call)
    assert torch.equal(video.frames, plain(pipe, **changes))
    assert video.report.decision == "continued"


@pytest.mark.parametrize(("mode", "rounds"), [("one-pass", 1), ("restart", 2)])
def test_a_look_expects_what_the_one_before_asked_for(pipe, mode, rounds):
    method = Given(found=(2, 2, 2), looks=(0.9, 0.8))
    call = arguments(num_inference_steps=2 * STEPS)
    report = generate(
        pipe,
        call.pop("prompt"),
        counts={"cats": 3},
        preset=method,
        mode=mode,
        rounds=rounds,
        **call,
    ).report
    first, *later = method.expected
    assert first is None
    assert later
    for expected, look in zip(later, report.looks, strict=False):
        assert expected is look.edit.after
        assert expected.count(0) == 3


def test_a_second_round_asks_for_what_the_first_one_did_too(pipe):
    """It starts from the noise that the first one started from, where nothing is removed yet."""
    method = Given(found=(4, 2, 3))
    call = arguments()
    prompt = call.pop("prompt")
    generate(pipe, prompt, counts={"cats": 3}, preset=method, mode="restart", rounds=2, **call)
    (first,), (second,) = method.enforced
    assert len(first.removed) == 1
    assert second.before is first.before
    assert second.before.count(0) == 4
    assert second.after.count(0) == 3
    assert set(first.removed) <= set(second.removed)


class Walled(Given):
    """Two instances, one of which fills the last frame, where the other one is missing."""

    def identify(self, capture, expected=None):
        labels = np.zeros(capture.grid.shape, np.int16)
        labels[:, 0, 0], labels[:, 3:5, 3:5], labels[-1] = 1, 2, 2
        layout = Layout(labels, (0, 0))
        focus = np.zeros((1, *capture.grid.shape), np.float32)
        return Sighting(layout, focus, tracks=Tracks.of(layout))


@pytest.mark.parametrize("mode", ["one-pass", "restart"])
def test_what_is_wrong_and_cannot_be_mended_is_not_called_right(pipe, mode):
    call = arguments()
    prompt = call.pop("prompt")
    with pytest.warns(UserWarning, match="no place is free"):
        video = generate(pipe, prompt, counts={"cats": 2}, preset=Walled(), mode=mode, **call)
    report = video.report
    assert report.decision == "unguided"
    assert "no place is free to hold it" in report.reason


def test_guidance_starts_again_from_the_same_noise(pipe):
    """A plan that keeps everything free of bias would redraw the very same video."""
    first = counted(pipe, (2, 3), mode="restart").frames
    second = counted(pipe, (2, 3), mode="restart").frames
    assert torch.equal(first, second)


def test_the_global_random_state_serves_where_no_generator_is_given(pipe):
    torch.manual_seed(7)
    expected = plain(pipe, generator=None)
    after = torch.get_rng_state()
    torch.manual_seed(7)
    video = counted(pipe, (3,), mode="restart", generator=None)
    assert torch.equal(video.frames, expected)
    assert torch.equal(torch.get_rng_state(), after)


@pytest.mark.parametrize("mode", ["one-pass", "restart"])
def test_the_text_encoder_runs_once(pipe, mode):
    calls = []
    handle = pipe.text_encoder.register_forward_hook(lambda *_: calls.append(1))
    try:
        counted(pipe, (2, 3), mode=mode)
    finally:
        handle.remove()
    assert len(calls) == 2  # prompt and negative prompt


def test_the_users_callback_is_called_and_obeyed(pipe):
    seen = []

    def callback(pipeline, step, timestep, tensors):
        seen.append(step)
        return tensors

    counted(pipe, (3,), mode="one-pass", callback_on_step_end=callback)
    assert seen == list(range(STEPS))
    seen.clear()
    counted(pipe, (2, 3), mode="restart", callback_on_step_end=callback)
    assert seen == [*range(LOOK), *range(STEPS)]


def test_a_callback_object_keeps_its_tensors(pipe):
    class Scaled(PipelineCallback):
        tensor_inputs = ("latents",)

        def callback_fn(self, pipeline, step_index, timestep, callback_kwargs):
            return {"latents": callback_kwargs["latents"] * 0.9}

    expected = plain(pipe, callback_on_step_end=Scaled())
    video = counted(pipe, (3,), mode="one-pass", callback_on_step_end=Scaled())
    assert torch.equal(video.frames, expected)


def test_guidance_scale_of_one_has_one_branch(pipe):
    video = counted(pipe, (2, 3), mode="restart", guidance_scale=1.0)
    assert video.report.decision == "guided"
    assert video.report.total.forwards == pytest.approx(LOOK + 1 + STEPS)
    right = counted(pipe, (3,), mode="one-pass", guidance_scale=1.0)
    assert torch.equal(right.frames, plain(pipe, guidance_scale=1.0))


@pytest.mark.parametrize("output_type", ["np", "pt", "pil", "latent"])
def test_every_output_type_comes_through(pipe, output_type):
    def shape(frames):
        return len(frames[0]) if output_type == "pil" else tuple(frames.shape)

    call = run_kwargs(output_type=output_type)
    expected = pipe(**{**call, "generator": torch.Generator().manual_seed(0)}).frames
    prompt = call.pop("prompt")
    video = generate(pipe, prompt, counts={"cats": 1}, preset=Given(found=(1,)), **call)
    assert type(video.frames) is type(expected)
    assert shape(video.frames) == shape(expected)


def test_a_tuple_output_comes_through(pipe):
    assert torch.equal(counted(pipe, (3,), return_dict=False).frames, plain(pipe))


class TestBatches:
    """Case 30: a list of prompts gets one plan each."""

    PROMPTS = ("a video of three cats playing", "two dogs and one cat on the grass")

    def run(self, pipe, found, **changes):
        call = arguments(**changes)
        call.pop("prompt")
        return generate(pipe, list(self.PROMPTS), preset=Given(found=found), counts="auto", **call)

    def test_each_prompt_has_its_own_targets_and_report(self, pipe):
        video = self.run(pipe, (3, 2))
        assert [[t.count for t in report.targets] for report in video.reports] == [[3], [2, 1]]
        assert [report.decision for report in video.reports] == ["continued", "guided"]
        with pytest.raises(ValueError, match="holds 2 videos"):
            _ = video.report

    def test_a_right_row_is_not_touched_by_its_neighbours_plan(self, pipe):
        expected = pipe(**arguments(prompt=list(self.PROMPTS))).frames
        frames = self.run(pipe, (3, 2)).frames
        torch.testing.assert_close(frames[0], expected[0], rtol=1e-3, atol=1e-4)
        assert (frames[1] - expected[1]).abs().max() > 1e-2

    def test_several_videos_of_one_prompt_are_planned_singly(self, pipe):
        video = counted(pipe, (3, 2), num_videos_per_prompt=2)
        assert [report.decision for report in video.reports] == ["continued", "guided"]
        assert video.frames.shape[0] == 2

    def test_counts_may_come_one_mapping_a_prompt(self, pipe):
        call = arguments()
        call.pop("prompt")
        wishes = [{"cats": 3}, {"dogs": 3, "cat": 0}]
        video = generate(pipe, list(self.PROMPTS), preset=Given(found=(3,)), counts=wishes, **call)
        assert [t.count for t in video.reports[1].targets] == [3, 0]
        with pytest.raises(PromptError, match="2 prompts, but counts for 1"):
            generate(pipe, list(self.PROMPTS), counts=wishes[:1], **call)


def test_a_prompt_without_a_count_runs_plainly_and_says_so(pipe):
    """Case 20."""
    prompt = "cats playing on the grass"
    call = arguments(prompt=prompt)
    call.pop("prompt")
    video = generate(pipe, prompt, **call)
    assert torch.equal(video.frames, plain(pipe, prompt=prompt))
    assert video.report.decision == "continued"
    assert "names no count" in video.report.reason
    with pytest.raises(PromptError, match="no count was found"):
        generate(pipe, prompt, counts="required", **call)


def test_embeddings_that_are_none_were_not_given(pipe):
    assert counted(pipe, (3,), prompt_embeds=None).report.decision == "continued"


def test_embeddings_without_a_prompt_are_refused(pipe):
    """Case 29."""
    call = arguments()
    call.pop("prompt")
    with pytest.raises(PromptError, match="which token names which noun"):
        generate(pipe, None, prompt_embeds=torch.zeros(1, 16, 32), **call)


def test_two_transformers_are_both_watched():
    """Wan 2.2 A14B: the second transformer takes over below the boundary."""
    pipe = tiny_wan(two_transformers=True, boundary_ratio=0.8)
    expected = pipe(**arguments()).frames
    right = counted(pipe, (3,))
    assert torch.equal(right.frames, expected)
    guided = counted(pipe, (2,))
    assert guided.report.total.forwards == 2 * STEPS
    assert len(guided.report.strengths) == STEPS - LOOK - 1


def test_unipc_runs_too():
    pipe = tiny_wan(scheduler="unipc")
    expected = pipe(**arguments()).frames
    assert torch.equal(counted(pipe, (3,), mode="restart").frames, expected)
    assert counted(pipe, (2, 3), mode="restart").report.decision == "guided"


def test_progress_bars_name_the_pass_and_keep_the_users_settings(capsys):
    pipe = tiny_wan()
    pipe.set_progress_bar_config(ascii=True)
    counted(pipe, (2, 3), mode="restart")
    shown = capsys.readouterr().err
    assert "identify" in shown
    assert "guide" in shown
    assert pipe._progress_bar_config == {"ascii": True}


def test_nothing_warns_on_a_normal_run(pipe):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        counted(pipe, (2,))
