"""The seam to SkyReels-V2: what it hands over, and what it refuses."""

import pytest
import torch
from diffusers import (
    SkyReelsV2DiffusionForcingPipeline,
    SkyReelsV2ImageToVideoPipeline,
    SkyReelsV2Pipeline,
)
from diffusers.models.transformers import transformer_skyreels_v2

from numina.errors import UnsupportedModelError
from numina.integrations import Site, adapter_for
from tests.families import LAYERS, STEPS
from tests.integrations.seam_runs import latents, moments, seen_at, stock_attend, through_seam
from tests.run.given_nouns import attend_with
from tests.tiny_skyreels_v2 import tiny_skyreels_v2
from tests.tiny_wan_image import IMAGE_KEYS

ALL_SITES = [Site(layer, kind) for layer in range(LAYERS) for kind in ("self", "cross")]


@pytest.mark.parametrize("kind", [SkyReelsV2Pipeline, SkyReelsV2ImageToVideoPipeline])
def test_an_attend_gets_what_the_model_attends_to_but_for_the_image(kind, monkeypatch):
    pipe, theirs = tiny_skyreels_v2(kind), []
    stock_dispatch = transformer_skyreels_v2.dispatch_attention_fn

    def spy(query, key, value, **kwargs):
        if key.shape[1] != IMAGE_KEYS:
            theirs.append((query.clone(), key.clone(), value.clone()))
        return stock_dispatch(query, key, value, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(transformer_skyreels_v2, "dispatch_attention_fn", spy)
        latents(pipe)
    ours, _ = seen_at(pipe, ALL_SITES)

    assert len(ours) == len(theirs) == STEPS * 2 * len(ALL_SITES)
    for mine, expected in zip(ours, theirs, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(mine.tokens, expected, strict=True))


def test_moments_follow_the_loop():
    # Higher than wide, so that rows and columns are not mistaken for each other.
    seen = moments(tiny_skyreels_v2(), Site(1, "cross"), height=64, width=32)
    expected = [(step, branch) for step in range(STEPS) for branch in ("cond", "uncond")]
    assert [(m.step, m.branch) for m in seen] == expected
    assert {m.grid.shape for m in seen} == {(3, 4, 2)}


def test_the_users_backend_and_half_precision_keep_their_bits():
    pipe = tiny_skyreels_v2()
    pipe.transformer.set_attention_backend("_native_math")
    pipe.transformer.to(torch.bfloat16)
    plain = latents(pipe)
    seen, _ = seen_at(pipe, ALL_SITES)
    assert {each.stock.backend for each in seen} == {"_native_math"}
    assert torch.equal(through_seam(pipe, dict.fromkeys(ALL_SITES, stock_attend))[0], plain)


def test_nouns_are_looked_for_in_the_text_that_the_tokenizer_sees():
    pipe, tokenized = tiny_skyreels_v2(), []
    tokenizer = pipe.tokenizer
    # The tokenizer is called by its class; encode_prompt reads it from the pipeline.
    pipe.tokenizer = lambda text, **options: tokenized.extend(text) or tokenizer(text, **options)
    prompt = "three  cats &amp; two dogs "
    pipe.encode_prompt(prompt, do_classifier_free_guidance=False, max_sequence_length=16)
    assert tokenized == [adapter_for(pipe.transformer).clean_prompt(prompt, {})]
    assert tokenized == ["three cats & two dogs"]


def test_diffusion_forcing_is_refused_by_name_at_its_first_pass():
    forcing = tiny_skyreels_v2(SkyReelsV2DiffusionForcingPipeline)
    with pytest.raises(UnsupportedModelError, match=r"noise level of its own.*SkyReelsV2Pipeline"):
        attend_with(forcing, {})


def test_causal_blocks_of_frames_are_refused_by_name():
    causal = tiny_skyreels_v2(num_frame_per_block=3)
    with pytest.raises(UnsupportedModelError, match="layer 0 attends in causal blocks"):
        through_seam(causal, {Site(0, "self"): stock_attend})
