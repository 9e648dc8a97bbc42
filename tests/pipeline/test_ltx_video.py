"""generate() on what LTX-Video alone has: stochastic sampling, and a last step when decoding."""

import pytest
import torch

from numina.pipeline import generate
from tests.pipeline.given import Given
from tests.tiny_cogvideox import wide_kwargs
from tests.tiny_ltx_video import tiny_ltx_video


def counted(pipe, found, **changes):
    call = wide_kwargs(**changes)
    prompt = call.pop("prompt")
    return generate(pipe, prompt, counts={"cats": 3}, preset=Given(found=found), **call)


@pytest.mark.parametrize("mode", ["one-pass", "restart"])
def test_a_scheduler_that_draws_from_the_global_state_starts_from_it_again(mode):
    """LTX's distilled models sample stochastically, and their pipeline passes no generator on."""
    pipe = tiny_ltx_video(stochastic_sampling=True)
    torch.manual_seed(5)
    expected = pipe(**wide_kwargs()).frames
    after = torch.get_rng_state()
    torch.manual_seed(5)
    video = counted(pipe, (3,), mode=mode)
    assert torch.equal(video.frames, expected)
    torch.manual_seed(5)
    guided = counted(pipe, (2, 3), mode=mode)
    assert guided.report.decision == "guided"
    assert torch.equal(torch.get_rng_state(), after)


def test_a_last_step_in_the_autoencoder_is_left_to_the_pipeline():
    """LTX 0.9.1 and later: the autoencoder denoises at a timestep, with noise of its own."""
    pipe = tiny_ltx_video(timestep_conditioning=True)
    call = {"output_type": "pt", "decode_timestep": 0.05, "decode_noise_scale": 0.025}
    expected = pipe(**wide_kwargs(**call)).frames
    video = counted(pipe, (3,), mode="restart", **call)
    assert video.report.decision == "continued"
    assert torch.equal(video.frames, expected)
    assert video.frames.shape == (1, 9, 3, 96, 96)
