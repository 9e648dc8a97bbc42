"""The seam to LTX-2: packed latents, registers behind the text, sound, and what is refused."""

import pytest
import torch
from diffusers.models.transformers import transformer_ltx2

from numina.attention.clean_prediction import CleanPrediction
from numina.errors import UnsupportedModelError
from numina.generation.request import resolve_request
from numina.generation.run import PipelineRun
from numina.integrations import Site, adapter_for, attached
from numina.integrations.ltx2 import GuidedLTX2Processor
from numina.pipeline import generate
from tests.calls import short_call, wide_call
from tests.families import LAYERS, STEPS
from tests.integrations.seam_runs import latents, moments, seen_at, stock_attend, tilted
from tests.pipeline.wide_runs import Finds, counted
from tests.run.given_nouns import NOUNS, guide
from tests.tiny_ltx2 import tiny_ltx2

TEXT_KEYS = 16
ALL_SITES = [Site(layer, kind) for layer in range(LAYERS) for kind in ("self", "cross")]
# Width of all heads together: the video's keys, not the sound's.
WIDTH = 32


@pytest.fixture(params=["2.0", "2.3"])
def pipe(request):
    return tiny_ltx2(request.param)


def test_an_attend_gets_what_the_video_attends_to(pipe, monkeypatch):
    theirs = []
    stock_dispatch = transformer_ltx2.dispatch_attention_fn

    def spy(query, key, value, **kwargs):
        theirs.append((query.clone(), key.clone(), value.clone()))
        return stock_dispatch(query, key, value, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(transformer_ltx2, "dispatch_attention_fn", spy)
        latents(pipe)
    ours, _ = seen_at(pipe, ALL_SITES)

    # The connectors come first; in a block, the sound attends to itself and to the text as well,
    # and video and sound to each other.
    inside = theirs[-STEPS * LAYERS * 6 :]
    expected = [
        call for start in range(0, len(inside), 6) for call in inside[start : start + 4 : 2]
    ]
    assert len(ours) == len(expected) == STEPS * len(ALL_SITES)
    for mine, tokens in zip(ours, expected, strict=True):
        assert mine.query.flatten(2).shape[2] == WIDTH
        assert all(torch.equal(a, b) for a, b in zip(mine.tokens, tokens, strict=True))


def test_moments_follow_the_loop_and_carry_a_mask_that_masks_nothing(pipe):
    # Higher than wide, so that rows and columns are not mistaken for each other.
    seen = moments(pipe, Site(1, "cross"), height=64, width=32)
    assert [(m.step, m.branch) for m in seen] == [(step, "both") for step in range(STEPS)]
    assert {m.grid.shape for m in seen} == {(3, 4, 2)}
    # None would be no mask at all, and the text be searched for padding to fold.
    assert all(torch.equal(m.key_offset, torch.zeros(2, TEXT_KEYS)) for m in seen)


def keys_of(pipe, prompt, word):
    """Positions of a word among the text keys, as generate() finds them."""
    adapter, call = adapter_for(pipe.transformer), {"max_sequence_length": TEXT_KEYS}
    request = resolve_request(pipe, prompt, {word: 2}, "subjects", adapter, call)
    assert request.num_keys == TEXT_KEYS
    return request.rows[0].positions[0]


@pytest.mark.parametrize("padding_side", ["left", "right"])
def test_a_noun_has_the_key_that_its_embedding_moves(pipe, padding_side):
    """The tokenizer pads on the left, the model has the text first."""

    def first_keys(prompt):
        seen, _ = seen_at(pipe, [Site(0, "cross")], prompt=prompt)
        return seen[0].key[1]

    cats, dogs = (first_keys(f"two {noun} on the grass") for noun in ("cats", "dogs"))
    pipe.tokenizer.padding_side = padding_side
    (at,) = keys_of(pipe, "two cats on the grass", "cats")
    assert int((cats - dogs).norm(dim=(1, 2)).argmax()) == at == 2


def test_strong_suppression_removes_a_noun_in_its_region_and_nowhere_else(pipe):
    seen, patches = seen_at(pipe, [Site(1, "cross")], height=96, width=96)[0], 20
    layer = seen[2]
    # Values that tell a key: what comes out is the probability of each noun.
    value = torch.zeros_like(layer.value)
    for noun, keys in enumerate(NOUNS):
        value[:, list(keys), :, noun] = 1.0
    unconditional, guided = guide(patches)(layer.query, layer.key, value, layer.moment, layer.stock)
    left_alone, plain = layer.stock(layer.query, layer.key, value)
    torch.testing.assert_close(unconditional, left_alone, atol=1e-6, rtol=1e-5)
    assert float(plain[:patches, :, 0].min()) > 0.0
    assert float(guided[:patches, :, 0].max()) == 0.0
    kept = plain[:patches, :, 1] / (1 - plain[:patches, :, 0])
    torch.testing.assert_close(guided[:patches, :, 1], kept, atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(guided[patches:], plain[patches:], atol=1e-6, rtol=1e-5)


def test_the_sound_is_returned_beside_the_video(pipe):
    call = short_call(pipe, height=96, width=96, output_type="latent")
    plain = pipe(**call)
    for changes in ({}, {"return_dict": False}):
        video = counted(pipe, Finds(found=(3,)), "one-pass", **changes)
        assert torch.equal(video.frames, plain.frames)
        assert torch.equal(video.audio, plain.audio)


# What a call leaves out is the pipeline's own default: spatio-temporal and modality guidance, and
# rescaling, of video and sound.
FURTHER = ("stg_scale", "modality_scale", "guidance_rescale", "audio_")


def further(call, **changes):
    """A call with the pipeline's further guidance, the middle layer being perturbed."""
    text_alone = {name: value for name, value in call.items() if not name.startswith(FURTHER)}
    blocks = {"spatio_temporal_guidance_blocks": [1], "output_type": "latent"}
    return {**text_alone, **blocks, **changes}


def test_passes_for_comparison_are_told_apart(pipe):
    seen = []

    def record(query, key, value, moment, stock):
        seen.append((moment.step, moment.branch, len(query)))
        return stock(query, key, value)

    transformer = pipe.transformer
    with attached(transformer, {Site(1, "cross"): record}, adapter_for(transformer)) as clock:
        pipe(**further(short_call(pipe)))
    passes = [("both", 2), ("perturbed", 1), ("isolated", 1)]
    assert seen == [(step, *each) for step in range(STEPS) for each in passes]
    assert clock.forwards == 4 * STEPS


@pytest.mark.parametrize("change", [None, tilted])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"guidance_scale": 1.0, "audio_guidance_scale": 1.0},
        {"stg_scale": 0.0, "audio_stg_scale": 1.0},
        {"modality_scale": 1.0, "audio_modality_scale": 1.0},
        {"guidance_rescale": 0.0},
        {"guidance_scale": 1.0, "audio_guidance_scale": 7.0},
        {"modality_scale": 1.0, "audio_modality_scale": 3.0},
        {"prompt": ["three cats", "two dogs"], "negative_prompt": ["blurry", "low"]},
    ],
    ids=[
        "all",
        "not by the text",
        "of the sound alone",
        "not by the sound",
        "not rescaled",
        "the sound alone by the text",
        "the sound alone by the video",
        "two videos",
    ],
)
def test_the_clean_latent_is_what_the_pipeline_combines(pipe, changes, change, monkeypatch):
    theirs, ours = [], []
    back = pipe.convert_x0_to_velocity

    def spy(sample, clean, index, scheduler):
        if scheduler is pipe.scheduler:
            theirs.append(clean)
        return back(sample, clean, index, scheduler)

    monkeypatch.setattr(pipe, "convert_x0_to_velocity", spy)
    videos = len(changes["prompt"]) if "prompt" in changes else 1
    run = PipelineRun(pipe, further(short_call(pipe), **changes), videos=videos)
    watch = CleanPrediction(run.combination, lambda _, clean: ours.append(clean), change)
    run.attempt({}, "", watch)
    assert len(ours) == len(theirs) == STEPS
    for mine, expected in zip(ours, theirs, strict=True):
        tokens = mine.flatten(2).transpose(1, 2)
        torch.testing.assert_close(tokens, expected, atol=1e-4, rtol=1e-4)


def test_a_perturbed_layer_attends_to_nothing_and_is_what_it_was():
    pipe = tiny_ltx2("2.3")
    plain = pipe(**further(short_call(pipe))).frames
    transformer, seen = pipe.transformer, []

    def record(query, key, value, moment, stock):
        seen.append(moment.branch)
        return stock(query, key, value)

    with attached(transformer, {Site(1, "self"): record}, adapter_for(transformer)):
        assert torch.equal(pipe(**further(short_call(pipe))).frames, plain)
    assert set(seen) == {"both", "isolated"}


@pytest.mark.parametrize("rows", [None, [0.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
def test_some_videos_of_a_batch_may_be_perturbed(rows):
    attention = tiny_ltx2("2.3").transformer.transformer_blocks[1].attn1
    video = torch.randn(2, 12, WIDTH, generator=torch.Generator().manual_seed(0))
    mask = None if rows is None else torch.tensor(rows)[:, None, None]
    plain = attention(video, perturbation_mask=mask)
    stock = attention.processor
    attention.set_processor(GuidedLTX2Processor(stock, stock_attend, LoopClockOfNothing(), 1))
    assert torch.equal(attention(video, perturbation_mask=mask), plain)


class LoopClockOfNothing:
    """Tells no moment."""

    def now(self, layer, joint=None, key_offset=None):
        return None


@pytest.mark.parametrize("mode", ["one-pass", "restart"])
def test_counts_are_kept_under_the_pipelines_own_guidance(pipe, mode):
    def run(found):
        call = further(wide_call(pipe))
        preset = Finds(found=found)
        prompt, counts = call.pop("prompt"), {"cats": 3}
        return generate(pipe, prompt, counts=counts, preset=preset, mode=mode, **call)

    plain = pipe(**further(wide_call(pipe))).frames
    assert torch.equal(run((3,)).frames, plain)
    guided = run((2, 3))
    assert guided.report.decision == "guided"
    assert not torch.equal(guided.frames, plain)


def test_other_pipelines_of_the_transformer_are_refused_by_name():
    class Other:
        """Appends tokens of something else."""

    pipe = tiny_ltx2()
    with pytest.raises(UnsupportedModelError, match="Other gives the model more than the text"):
        adapter_for(pipe.transformer).prompt_frame(Other(), {})


def test_what_would_move_the_nouns_is_refused_by_name():
    pipe = tiny_ltx2()
    with pytest.raises(UnsupportedModelError, match=r"enable_prompt_enhancement.*enhance="):
        PipelineRun(pipe, short_call(pipe, enable_prompt_enhancement=True))
    with pytest.raises(UnsupportedModelError, match="no learnable registers"):
        keys_of(tiny_ltx2(registers=None), "two cats", "cats")
