"""The seam to LTX-2: packed latents, registers behind the text, sound, and what is refused."""

import pytest
import torch
from diffusers.models.transformers import transformer_ltx2

from numina.errors import UnsupportedModelError
from numina.generation.request import resolve_request
from numina.generation.run import PipelineRun
from numina.integrations import Site, adapter_for
from tests.calls import short_call
from tests.families import LAYERS, STEPS
from tests.integrations.seam_runs import latents, moments, seen_at, stock_attend, through_seam
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


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("stg_scale", 1.0),
        ("audio_stg_scale", 1.0),
        ("modality_scale", 3.0),
        ("audio_modality_scale", 3.0),
        ("guidance_rescale", 0.7),
    ],
)
def test_guidance_by_more_than_the_text_is_refused_before_the_run(name, value):
    pipe = tiny_ltx2()
    with pytest.raises(UnsupportedModelError, match=rf"{name}={value}.*; pass .*_?scale="):
        PipelineRun(pipe, short_call(pipe, **{name: value}))
    # It is what the pipeline does where nothing is said.
    call = short_call(pipe)
    del call[name]
    with pytest.raises(UnsupportedModelError, match="guide by more than the text"):
        PipelineRun(pipe, {key: value for key, value in call.items() if "scale" not in key})


def test_what_would_move_the_nouns_is_refused_by_name():
    pipe = tiny_ltx2()
    with pytest.raises(UnsupportedModelError, match=r"enable_prompt_enhancement.*enhance="):
        PipelineRun(pipe, short_call(pipe, enable_prompt_enhancement=True))
    with pytest.raises(UnsupportedModelError, match="no learnable registers"):
        keys_of(tiny_ltx2(registers=None), "two cats", "cats")


def test_a_perturbed_layer_is_refused_by_name():
    pipe = tiny_ltx2("2.3")
    perturbed = {"stg_scale": 1.0, "spatio_temporal_guidance_blocks": [1]}
    with pytest.raises(UnsupportedModelError, match="layer 1 is perturbed"):
        through_seam(pipe, {Site(1, "self"): stock_attend}, **perturbed)
