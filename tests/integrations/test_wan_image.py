"""The seam to Wan models that start from an image: a softmax beside the text's, given frames."""

import pytest
import torch
from diffusers.models.transformers import transformer_wan

from numina.attention.clean_prediction import CleanPrediction
from numina.errors import UnsupportedModelError
from numina.generation.run import PipelineRun
from numina.integrations import Site, adapter_for
from tests.calls import short_call
from tests.families import LAYERS, STEPS
from tests.integrations.seam_runs import latents, moments, seen_at, stock_attend, through_seam
from tests.pipeline.wide_runs import Finds, counted, left_as_it_was
from tests.tiny_wan_image import CHANNELS, IMAGE_KEYS, tiny_image, tiny_wan_image

TEXT_KEYS = 512
ALL_SITES = [Site(layer, kind) for layer in range(LAYERS) for kind in ("self", "cross")]


@pytest.mark.parametrize(("variant", "images"), [("2.1", 1), ("first-last", 2)])
def test_an_attend_gets_what_the_model_attends_to_but_for_the_image(variant, images, monkeypatch):
    pipe, theirs, of_image = tiny_wan_image(variant), [], []
    given = {"last_image": tiny_image(1)} if variant == "first-last" else {}
    stock_dispatch = transformer_wan.dispatch_attention_fn

    def spy(query, key, value, **kwargs):
        seen = of_image if key.shape[1] == images * IMAGE_KEYS else theirs
        seen.append((query.clone(), key.clone(), value.clone()))
        return stock_dispatch(query, key, value, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(transformer_wan, "dispatch_attention_fn", spy)
        plain = latents(pipe, **given)
    ours, _ = seen_at(pipe, ALL_SITES, **given)

    assert len(ours) == len(theirs) == STEPS * 2 * len(ALL_SITES)
    assert len(of_image) == STEPS * 2 * LAYERS
    for mine, expected in zip(ours, theirs, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(mine.tokens, expected, strict=True))
    assert {mine.key.shape[1] for mine in ours[1::2]} == {TEXT_KEYS}
    watched, _ = through_seam(pipe, dict.fromkeys(ALL_SITES, stock_attend), **given)
    assert torch.equal(watched, plain)


def test_the_image_is_attended_to_whatever_the_text_is_given():
    """Silence of the text leaves what the image says, and no other image the same."""
    pipe = tiny_wan_image()

    def silence(query, key, value, moment, stock):
        return torch.zeros_like(query)

    silent = {Site(layer, "cross"): silence for layer in range(LAYERS)}
    cats, dogs = (through_seam(pipe, silent, prompt=p)[0] for p in ("three cats", "two dogs"))
    assert torch.equal(cats, dogs)

    # The same latents beside the noise: what differs is what the model attends to.
    other = {"image_embeds": torch.randn(1, IMAGE_KEYS, 16)}
    embeds = pipe.encode_image
    pipe.encode_image = lambda image, device: other["image_embeds"]
    assert not torch.equal(through_seam(pipe, silent, prompt="three cats")[0], cats)
    pipe.encode_image = embeds


def test_moments_follow_the_loop_over_frames_of_image_and_video_alike():
    # Higher than wide, so that rows and columns are not mistaken for each other.
    seen = moments(tiny_wan_image(), Site(1, "cross"), height=64, width=32)
    expected = [(step, branch) for step in range(STEPS) for branch in ("cond", "uncond")]
    assert [(m.step, m.branch) for m in seen] == expected
    assert {m.grid.shape for m in seen} == {(3, 4, 2)}


def test_the_clean_latent_has_the_channels_of_the_video_alone():
    pipe, seen = tiny_wan_image(), []
    shapes = []
    pipe.transformer.register_forward_pre_hook(
        lambda module, args, kwargs: shapes.append(kwargs["hidden_states"].shape[1]),
        with_kwargs=True,
    )
    through_seam(pipe, {}, watch=seen.append)
    assert set(shapes) == {CHANNELS}
    assert {p.latents.shape for p in seen} == {p.velocity.shape for p in seen} == {(1, 16, 3, 4, 4)}


def test_a_frame_that_is_given_without_noise_is_clean_from_the_start():
    """Wan 2.2 5B has the image in place of its first latent frame, at a timestep of 0."""
    pipe, clean, outputs = tiny_wan_image("2.2-5b"), [], []
    step = pipe.scheduler.step

    def spy(output, timestep, sample, **kwargs):
        sigma = pipe.scheduler.sigmas[len(outputs)]
        outputs.append(sample - sigma * output)
        return step(output, timestep, sample, **kwargs)

    pipe.scheduler.step = spy
    run = PipelineRun(pipe, short_call(pipe, output_type="latent"))
    watch = CleanPrediction(run.combination, lambda _, latent: clean.append(latent))
    frames = run.attempt({}, "", watch).output.frames
    assert len(clean) == len(outputs) == STEPS
    for ours, theirs in zip(clean, outputs, strict=True):
        assert torch.equal(ours[:, :, :1], frames[:, :, :1])
        torch.testing.assert_close(ours[:, :, 1:], theirs[:, :, 1:], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(clean[-1], frames, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("variant", ["first-last", "2.2-a14b"])
def test_counts_are_kept_by_every_variant(variant):
    pipe = tiny_wan_image(variant)
    given = {"last_image": tiny_image(1)} if variant == "first-last" else {}
    with left_as_it_was(pipe, **given) as plain:
        right = counted(pipe, Finds(found=(3,)), "one-pass", **given)
        assert right.report.decision == "continued"
        assert torch.equal(right.frames, plain)
        for mode in ("one-pass", "restart"):
            wrong = counted(pipe, Finds(found=(2, 3)), mode, **given)
            assert wrong.report.decision == "guided"
            assert not torch.equal(wrong.frames, plain)


def test_fewer_text_keys_than_diffusers_splits_off_are_refused_before_the_run():
    pipe = tiny_wan_image()
    with pytest.raises(UnsupportedModelError, match=r"max_sequence_length=16: .*last 512 keys"):
        PipelineRun(pipe, short_call(pipe, max_sequence_length=16))
    # Without attention to the image nothing is split off.
    pipe = tiny_wan_image("2.2-5b")
    adapter_for(pipe.transformer).check(pipe.transformer, {"max_sequence_length": 16})
