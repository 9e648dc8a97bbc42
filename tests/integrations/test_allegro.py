"""The seam to Allegro: no branch announced, masked and cleaned text, ancestral noise, refusals."""

from types import SimpleNamespace

import pytest
import torch
from diffusers import AllegroPipeline, DDIMScheduler, EulerAncestralDiscreteScheduler
from diffusers.models import attention_processor
from diffusers.pipelines.allegro import pipeline_allegro
from torch.nn import functional

from numina.attention.clean_prediction import CleanPrediction
from numina.errors import TargetError, UnsupportedModelError
from numina.generation.request import resolve_request
from numina.generation.run import PipelineRun
from numina.integrations import Site, adapter_for
from tests.integrations.seam_runs import latents, moments, seen_at, through_seam, tilted
from tests.tiny_allegro import run_kwargs, tiny_allegro

STEPS, LAYERS = 4, 3
ALL_SITES = [Site(layer, kind) for layer in range(LAYERS) for kind in ("self", "cross")]
V_PREDICTION = {
    "prediction_type": "v_prediction",
    "timestep_spacing": "trailing",
    "rescale_betas_zero_snr": True,
}


@pytest.fixture
def pipe() -> AllegroPipeline:
    return tiny_allegro()


def test_an_attend_gets_what_the_model_would_have_attended_to(pipe, monkeypatch):
    theirs = []

    def spy(query, key, value, **kwargs):
        theirs.append(tuple(x.transpose(1, 2).clone() for x in (query, key, value)))
        return functional.scaled_dot_product_attention(query, key, value, **kwargs)

    spying = SimpleNamespace(scaled_dot_product_attention=spy)
    monkeypatch.setattr(attention_processor, "F", spying)
    # Torch's own counts the heads of a mask.
    spying.pad = functional.pad
    latents(pipe)
    monkeypatch.undo()
    ours = [each.tokens for each in seen_at(pipe, ALL_SITES)[0]]

    assert len(ours) == len(theirs) == STEPS * len(ALL_SITES)
    for mine, expected in zip(ours, theirs, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(mine, expected, strict=True))


@pytest.mark.parametrize("spacing", ["linspace", "leading", "trailing"])
@pytest.mark.parametrize("steps", [4, 7])
def test_noise_levels_are_those_of_a_flow_with_the_same_signal_to_noise(spacing, steps):
    """Steps of "linspace" lie between those of the training."""
    pipe = tiny_allegro(timestep_spacing=spacing)
    levels = PipelineRun(pipe, run_kwargs(num_inference_steps=steps)).noises
    seen = [m.noise for m in moments(pipe, Site(0, "cross"), num_inference_steps=steps)]
    assert tuple(seen) == levels
    sigmas = [noise / (1 - noise) for noise in levels]
    assert sigmas == pytest.approx(pipe.scheduler.sigmas[:-1].tolist(), rel=1e-4)


@pytest.mark.parametrize("change", [None, tilted])
@pytest.mark.parametrize("kind", [EulerAncestralDiscreteScheduler, DDIMScheduler])
@pytest.mark.parametrize("settings", [{}, V_PREDICTION], ids=["epsilon", "v-prediction"])
@pytest.mark.parametrize("guidance_scale", [5.0, 1.0])
def test_the_clean_latent_is_the_schedulers_own(
    kind, settings, guidance_scale, change, monkeypatch
):
    clipping = {"clip_sample": False} if kind is DDIMScheduler else {}
    pipe = tiny_allegro(scheduler=kind, **settings, **clipping)
    theirs, ours = [], []
    step = pipe.scheduler.step

    def spy(*args, **kwargs):
        stepped = step(*args, **{**kwargs, "return_dict": False})
        theirs.append(stepped[1])
        return stepped

    call = run_kwargs(output_type="latent", guidance_scale=guidance_scale)
    run = PipelineRun(pipe, call)
    # The signature says whether a scheduler takes a generator.
    monkeypatch.setattr(pipe.scheduler, "step", wraps_signature(step, spy))
    run.attempt(
        {}, "", CleanPrediction(run.combination, lambda _, clean: ours.append(clean), change)
    )

    assert len(ours) == len(theirs) == STEPS
    for mine, expected in zip(ours, theirs, strict=True):
        # Where there is hardly any signal, epsilon is divided by it.
        scale = float(expected.abs().max())
        torch.testing.assert_close(mine, expected, atol=1e-5 * scale, rtol=1e-4)


def wraps_signature(original, function):
    function.__wrapped__ = original
    return function


def test_epsilon_without_any_signal_is_refused():
    pipe = tiny_allegro(scheduler=DDIMScheduler, rescale_betas_zero_snr=True)
    with pytest.raises(UnsupportedModelError, match=r"'epsilon'.*without a step of zero signal"):
        PipelineRun(pipe, run_kwargs())


class Soup:
    """What the pipeline needs of Beautiful Soup, for text without markup."""

    def __init__(self, text, features):
        self.text = text


@pytest.mark.parametrize("able", [False, True], ids=["lower-cased", "cleaned"])
@pytest.mark.parametrize("wanted", [None, True, False])
def test_nouns_are_found_in_the_text_that_the_tokenizer_sees(pipe, able, wanted, monkeypatch):
    monkeypatch.setattr(pipeline_allegro, "is_bs4_available", lambda: able)
    monkeypatch.setattr(pipeline_allegro, "BeautifulSoup", Soup, raising=False)
    prompt = " Three CATS (red ones)  and two Dogs on   the grass "
    call = {"max_sequence_length": 32} | ({} if wanted is None else {"clean_caption": wanted})
    tokenized = []
    tokenizer = pipe.tokenizer
    # The tokenizer is called by its class; encode_prompt reads it from the pipeline.
    pipe.tokenizer = lambda text, **options: tokenized.append(text) or tokenizer(text, **options)
    pipe.encode_prompt(prompt, False, **{"clean_caption": True, **call})
    pipe.tokenizer = tokenizer

    adapter = adapter_for(pipe.transformer)
    (text,) = tokenized[0]
    assert adapter.clean_prompt(prompt, call) == text
    assert ("(" in text) is not (able and wanted is not False)
    request = resolve_request(pipe, prompt, "auto", "subjects", adapter, call)
    names = tokenizer.convert_ids_to_tokens(tokenizer(text).input_ids)
    nouns = [
        "".join(names[position] for position in positions)
        for positions in request.rows[0].positions
    ]
    assert [noun.replace("▁", "") for noun in nouns] == ["cats", "dogs"]


def test_a_noun_that_cleaning_takes_away_is_refused(pipe, monkeypatch):
    monkeypatch.setattr(pipeline_allegro, "is_bs4_available", lambda: True)
    monkeypatch.setattr(pipeline_allegro, "BeautifulSoup", Soup, raising=False)
    adapter = adapter_for(pipe.transformer)
    with pytest.raises(TargetError, match="cleaning the prompt turns 'shipping' into"):
        resolve_request(
            pipe,
            "three shipping on the grass",
            {"shipping": 3},
            "subjects",
            adapter,
            {"max_sequence_length": 32},
        )


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        ({"num_videos_per_prompt": 2}, "ignored by Allegro .*repeat the prompt in a list"),
        ({"timesteps": [900, 500]}, r"timesteps=\[900, 500\] .*pass num_inference_steps instead"),
    ],
)
def test_calls_that_guidance_could_not_follow_are_refused(pipe, call, sentence):
    with pytest.raises(UnsupportedModelError, match=sentence):
        PipelineRun(pipe, run_kwargs(**call))


def test_image_to_video_is_refused_by_its_channels():
    with pytest.raises(UnsupportedModelError, match=r"takes 8 channels and predicts 4.*text-to-"):
        PipelineRun(tiny_allegro(in_channels=8), run_kwargs())


def test_a_batch_whose_rows_are_no_branches_is_refused(pipe):
    with pytest.raises(
        UnsupportedModelError, match=r"videos is 1, but .* batch of 6.*pass videos="
    ):
        through_seam(pipe, {}, prompt=["cats"] * 3, negative_prompt=["blurry"] * 3)
