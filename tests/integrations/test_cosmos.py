"""The seam to Cosmos: two versions of noise and text, branches told by their order, refusals."""

from unittest.mock import patch

import pytest
import torch
from diffusers import Cosmos2TextToImagePipeline, EDMEulerScheduler
from diffusers.models.transformers import transformer_cosmos

from numina.attention.clean_prediction import CleanPrediction
from numina.errors import TargetError, UnsupportedModelError
from numina.generation.request import resolve_request
from numina.generation.run import PipelineRun
from numina.integrations import Site, adapter_for, attached
from tests.calls import short_call
from tests.integrations.seam_runs import latents, moments, seen_at, tilted
from tests.tiny_cosmos import TEXT_DIM, tiny_cosmos, tiny_transformer
from tests.tiny_wan import tiny_autoencoder

STEPS, LAYERS = 4, 3
ALL_SITES = [Site(layer, kind) for layer in range(LAYERS) for kind in ("self", "cross")]


@pytest.fixture(params=["1.0", "2.5"])
def pipe(request):
    return tiny_cosmos(request.param)


def test_an_attend_gets_what_the_model_would_have_attended_to(pipe, monkeypatch):
    theirs = []
    dispatch = transformer_cosmos.dispatch_attention_fn

    def spy(query, key, value, **kwargs):
        theirs.append((query.clone(), key.clone(), value.clone()))
        return dispatch(query, key, value, **kwargs)

    monkeypatch.setattr(transformer_cosmos, "dispatch_attention_fn", spy)
    latents(pipe)
    monkeypatch.undo()
    ours = [each.tokens for each in seen_at(pipe, ALL_SITES)[0]]

    assert len(ours) == len(theirs) == 2 * STEPS * len(ALL_SITES)
    for mine, expected in zip(ours, theirs, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(mine, expected, strict=True))


def test_noise_levels_are_those_of_a_flow_with_the_same_signal_to_noise(pipe):
    levels = PipelineRun(pipe, short_call(pipe)).noises
    seen = [m.noise for m in moments(pipe, Site(0, "cross"))]
    assert seen[::2] == seen[1::2] == pytest.approx(levels, rel=1e-5)
    sigmas = pipe.scheduler.sigmas[:-1]
    if isinstance(pipe.scheduler, EDMEulerScheduler):
        ratios = sigmas / pipe.scheduler.config.sigma_data
        sigmas = ratios / (1 + ratios)
    assert levels == pytest.approx(sigmas.tolist(), rel=1e-5)


@pytest.mark.parametrize("change", [None, tilted])
@pytest.mark.parametrize("guidance_scale", [5.0, 1.0])
def test_the_clean_latent_of_the_first_version_is_its_schedulers(guidance_scale, change):
    pipe = tiny_cosmos("1.0")
    theirs, ours = [], []
    step = pipe.scheduler.step

    def spy(*args, pred_original_sample=None, **kwargs):
        # The pipeline asks once for the clean latents of both branches, and steps by their sum.
        if pred_original_sample is not None:
            theirs.append(pred_original_sample / pipe.scheduler.config.sigma_data)
        return step(*args, pred_original_sample=pred_original_sample, **kwargs)

    call = short_call(pipe, output_type="latent", guidance_scale=guidance_scale)
    run = PipelineRun(pipe, call)
    watch = CleanPrediction(run.combination, lambda _, clean: ours.append(clean), change)
    with patch.object(pipe.scheduler, "step", spy):
        run.attempt({}, "", watch)
    assert len(ours) == len(theirs) == STEPS
    for mine, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("changes", [{}, {"conditional_frame_timestep": -1.0}])
@pytest.mark.parametrize("videos", [1, 2])
def test_the_second_version_may_tell_sigma_by_frame_or_by_video(changes, videos):
    """Nothing is given here, so that it is the same."""
    pipe = tiny_cosmos("2.5")
    call = short_call(pipe, num_videos_per_prompt=videos, **changes)
    seen = []

    def record(query, key, value, moment, stock):
        seen.append((moment.noise, len(query)))
        return stock(query, key, value)

    transformer, site = pipe.transformer, Site(0, "cross")
    with attached(transformer, {site: record}, adapter_for(transformer), videos=videos):
        pipe(**call)
    levels = PipelineRun(pipe, call, videos=videos).noises
    assert [noise for noise, _ in seen[::2]] == pytest.approx(levels, rel=1e-5)
    assert {rows for _, rows in seen} == {videos}


@pytest.mark.parametrize("prompt", ["three cats", "  three  cats & two dogs on the grass "])
def test_nouns_stand_among_the_keys_where_the_pipeline_has_them(pipe, prompt, monkeypatch):
    encoded = []
    forward = pipe.text_encoder.forward

    def spy(input_ids, *args, **kwargs):
        encoded.append(input_ids)
        return forward(input_ids, *args, **kwargs)

    call = {"max_sequence_length": short_call(pipe)["max_sequence_length"]}
    monkeypatch.setattr(pipe.text_encoder, "forward", spy)
    keys = pipe.encode_prompt(prompt, do_classifier_free_guidance=False, **call)[0].shape[1]

    request = resolve_request(pipe, prompt, "auto", "subjects", adapter_for(pipe.transformer), call)
    assert request.num_keys == keys
    (tokens,) = encoded
    names = pipe.tokenizer.convert_ids_to_tokens(tokens[0].tolist())
    (row,) = request.rows
    found = [[names[at].strip(" ▁") for at in positions] for positions in row.positions]
    assert found == [[target.noun] for target in row.targets]


def test_a_noun_that_the_template_leaves_no_room_for_is_refused():
    pipe = tiny_cosmos("2.5")
    adapter = adapter_for(pipe.transformer)
    with pytest.raises(TargetError, match=r"'cats' lies beyond the text length .*name it earlier"):
        resolve_request(
            pipe, "three cats", "auto", "subjects", adapter, {"max_sequence_length": 20}
        )


@pytest.mark.parametrize("is_added", [False, True], ids=["boolean", "added"])
def test_masked_text_is_told_and_left_masked(is_added):
    transformer = tiny_transformer()
    torch.manual_seed(1)
    video, text = torch.randn(2, 16, 3, 4, 4), torch.randn(2, 5, TEXT_DIM)
    kept = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    mask = torch.zeros(kept.shape).masked_fill(~kept, -torch.inf) if is_added else kept
    told = []

    def run():
        return transformer(video, torch.ones(2), text, attention_mask=mask).sample

    def attend(query, key, value, moment, stock):
        told.append(moment.key_offset)
        return stock(query, key, value)

    plain = run()
    with attached(transformer, {Site(1, "cross"): attend}, adapter_for(transformer), videos=2):
        assert torch.equal(run(), plain)
    (offset,) = told
    assert torch.equal(offset == 0, kept)
    assert torch.equal(offset.isneginf(), ~kept)


@pytest.mark.parametrize("name", ["image", "video"])
def test_a_start_from_frames_is_refused(name):
    pipe = tiny_cosmos("2.5")
    with pytest.raises(UnsupportedModelError, match=f"{name}=object gives the first frames"):
        PipelineRun(pipe, short_call(pipe, **{name: object()}))


def test_several_videos_of_several_prompts_are_refused():
    pipe = tiny_cosmos("2.5")
    call = short_call(pipe, prompt=["three cats", "two dogs"], num_videos_per_prompt=2)
    with pytest.raises(UnsupportedModelError, match=r"num_videos_per_prompt=2 .*repeat each promp"):
        PipelineRun(pipe, call)


@pytest.mark.parametrize("prompts", [1, 2])
def test_two_rows_are_two_videos_and_no_branches(pipe, prompts):
    """Nobody told the seam of the second one."""
    call = short_call(pipe, prompt=["three cats", "two dogs"])
    transformer = pipe.transformer
    held = attached(transformer, {}, adapter_for(transformer), videos=prompts)
    if prompts == 2:
        with held as clock:
            pipe(**{**call, "negative_prompt": ["blurry"] * 2})
        assert clock.forwards == 2 * STEPS
        return
    with held, pytest.raises(UnsupportedModelError, match=r"videos is 1.*batch of 2.*videos="):
        pipe(**{**call, "negative_prompt": ["blurry"] * 2})


def test_attention_to_an_image_is_refused(pipe):
    pipe.transformer = tiny_transformer("2.5", image_dim=8)
    with pytest.raises(UnsupportedModelError, match=r"img_context_dim_in 8.*text-to-world model"):
        PipelineRun(pipe, short_call(pipe))


def test_pipelines_of_the_same_transformer_that_make_no_video_of_text_are_refused():
    pipe = tiny_cosmos("1.0")
    image = Cosmos2TextToImagePipeline(**{**pipe.components, "vae": tiny_autoencoder()})
    with pytest.raises(UnsupportedModelError, match="Cosmos2TextToImagePipeline makes an image"):
        resolve_request(image, "three cats", "auto", "subjects", adapter_for(image.transformer), {})


def test_a_preconditioned_prediction_of_something_else_is_refused():
    pipe = tiny_cosmos("1.0")
    pipe.scheduler = EDMEulerScheduler(prediction_type="v_prediction")
    with pytest.raises(
        UnsupportedModelError,
        match=r"prediction_type 'v_.*or EDMEulerScheduler w",
    ):
        PipelineRun(pipe, short_call(pipe))
