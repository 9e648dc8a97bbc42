"""The seam to LTX-Video: packed latents, masked text, levels that depend on the size, refusals."""

from types import SimpleNamespace

import pytest
import torch
from diffusers import LTXPipeline
from diffusers.models.transformers import transformer_ltx

from numina.attention.clean_prediction import CleanPrediction
from numina.errors import UnsupportedModelError
from numina.generation.run import PipelineRun
from numina.integrations import ForwardPass, Site, adapter_for, attached
from tests.integrations.seam_runs import latents, moments, seen_at, through_seam, tilted
from tests.tiny_cogvideox import wide_kwargs
from tests.tiny_ltx_video import run_kwargs, tiny_ltx_video

STEPS, LAYERS, KEYS = 4, 3, 16
ALL_SITES = [Site(layer, kind) for layer in range(LAYERS) for kind in ("self", "cross")]


@pytest.fixture
def pipe() -> LTXPipeline:
    return tiny_ltx_video()


def test_an_attend_gets_what_the_model_would_have_attended_to(pipe, monkeypatch):
    theirs = []
    stock_dispatch = transformer_ltx.dispatch_attention_fn

    def spy(query, key, value, **kwargs):
        theirs.append((query.clone(), key.clone(), value.clone()))
        return stock_dispatch(query, key, value, **kwargs)

    monkeypatch.setattr(transformer_ltx, "dispatch_attention_fn", spy)
    latents(pipe)
    monkeypatch.undo()
    ours = [each.tokens for each in seen_at(pipe, ALL_SITES)[0]]

    assert len(ours) == len(theirs) == STEPS * len(ALL_SITES)
    for mine, expected in zip(ours, theirs, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(mine, expected, strict=True))


def test_the_users_attention_backend_stays_in_use(pipe):
    pipe.transformer.set_attention_backend("_native_math")
    plain, backends = latents(pipe), set()

    def record(query, key, value, moment, stock):
        backends.add(stock.backend)
        return stock(query, key, value)

    watched, _ = through_seam(pipe, dict.fromkeys(ALL_SITES, record))
    assert torch.equal(watched, plain)
    assert backends == {pipe.transformer.transformer_blocks[0].attn1.processor._attention_backend}


@pytest.mark.parametrize(
    "settings",
    [{}, {"use_dynamic_shifting": False, "shift": 3.0}, {"shift_terminal": None}],
    ids=["ltx", "fixed shift", "no terminal"],
)
@pytest.mark.parametrize("size", [{}, {"height": 96, "width": 64, "num_frames": 17}])
def test_noise_levels_are_those_that_the_pipeline_sets(settings, size):
    pipe = tiny_ltx_video(**settings)
    levels = PipelineRun(pipe, run_kwargs(**size)).noises
    seen = [moment.noise for moment in moments(pipe, Site(0, "cross"), **size)]
    assert levels == tuple(pipe.scheduler.sigmas[:-1].tolist())
    assert seen == pytest.approx(levels)


def test_levels_depend_on_the_size_of_the_video(pipe):
    small, large = (PipelineRun(pipe, kwargs).noises for kwargs in (run_kwargs(), wide_kwargs()))
    assert small != large


@pytest.mark.parametrize("change", [None, tilted])
@pytest.mark.parametrize("guidance_scale", [5.0, 1.0])
def test_the_clean_latent_is_the_schedulers_own(pipe, guidance_scale, change, monkeypatch):
    theirs, ours = [], []
    step = pipe.scheduler.step

    def spy(velocity, timestep, sample, **kwargs):
        clean = sample - timestep / 1000 * velocity
        theirs.append(pipe._unpack_latents(clean, 3, 2, 2))
        return step(velocity, timestep, sample, **kwargs)

    call = run_kwargs(output_type="latent", guidance_scale=guidance_scale)
    run = PipelineRun(pipe, call)
    monkeypatch.setattr(pipe.scheduler, "step", spy)
    run.attempt(
        {}, "", CleanPrediction(run.combination, lambda _, clean: ours.append(clean), change)
    )

    assert len(ours) == len(theirs) == STEPS
    for mine, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("side", "depth"), [(1, 1), (2, 1), (2, 2)])
def test_frames_are_unpacked_as_the_pipeline_packs_them(pipe, side, depth):
    video = torch.randn(2, 5, 3 * depth, 2 * side, 4 * side)
    packed = pipe._pack_latents(video, side, depth)
    config = SimpleNamespace(patch_size=side, patch_size_t=depth)
    forward = ForwardPass({"hidden_states": packed, "num_frames": 3, "height": 2, "width": 4})
    adapter = adapter_for(pipe.transformer)
    frames = adapter.frames_of_grid(SimpleNamespace(config=config), forward, packed)
    # Frames of one patch lie side by side as channels.
    expected = video.unflatten(2, (3, depth)).permute(0, 3, 1, 2, 4, 5).flatten(1, 2)
    assert torch.equal(frames, expected)


def test_a_mask_with_rows_of_its_own_for_queries_is_refused(pipe):
    transformer = pipe.transformer
    sites = {Site(0, "cross"): lambda query, key, value, moment, stock: stock(query, key, value)}
    with (
        attached(transformer, sites, adapter_for(transformer)),
        transformer.cache_context("cond_uncond"),
        pytest.raises(UnsupportedModelError, match=r"layer 0 got an attention_mask \(1, 12, 16\)"),
    ):
        transformer(
            torch.zeros(1, 12, 8),
            torch.zeros(1, KEYS, 32),
            torch.tensor([500.0]),
            torch.zeros(1, 12, KEYS),
            num_frames=3,
            height=2,
            width=2,
        )


def test_coordinates_in_place_of_a_size_are_refused(pipe):
    """As LTXConditionPipeline calls the transformer."""
    forward = ForwardPass({"hidden_states": torch.zeros(1, 12, 8), "video_coords": torch.zeros(1)})
    with pytest.raises(UnsupportedModelError, match=r"no num_frames, .*; use LTXPipeline"):
        adapter_for(pipe.transformer).grid(pipe.transformer, forward)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        ({"guidance_rescale": 0.7}, "guidance_rescale=0.7 rescales .*leave it out"),
        ({"image": torch.zeros(3, 32, 32)}, "image=Tensor makes the video from given frames"),
        ({"conditions": [object()]}, "conditions=.* use LTXPipeline"),
        (
            {"prompt": ["three cats", "two dogs"], "num_videos_per_prompt": 2},
            "num_videos_per_prompt=2 with 2 prompts: .*repeat each prompt",
        ),
    ],
)
def test_calls_that_guidance_could_not_follow_are_refused(pipe, call, sentence):
    with pytest.raises(UnsupportedModelError, match=sentence):
        PipelineRun(pipe, run_kwargs(**call))


@pytest.mark.parametrize(
    "call", [{"guidance_rescale": 0.0}, {"image": None}, {"num_videos_per_prompt": 2}]
)
def test_calls_that_ask_for_nothing_of_it_are_followed(pipe, call):
    PipelineRun(pipe, run_kwargs(**call))


def test_image_to_video_is_refused_by_its_channels():
    with pytest.raises(UnsupportedModelError, match=r"takes 16 channels and predicts 8.*text-to-"):
        PipelineRun(tiny_ltx_video(in_channels=16), run_kwargs())
