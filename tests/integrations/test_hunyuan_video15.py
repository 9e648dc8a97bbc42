"""The seam to HunyuanVideo 1.5: a text put in order with others, a guider, and what is refused."""

import pytest
import torch
from diffusers import AdaptiveProjectedGuidance, ClassifierFreeGuidance
from diffusers.models.transformers import transformer_hunyuan_video15

from numina.errors import UnsupportedModelError
from numina.generation.request import resolve_request
from numina.generation.run import PipelineRun
from numina.integrations import Site, adapter_for
from tests.calls import short_call
from tests.families import LAYERS, STEPS
from tests.integrations.seam_runs import latents, seen_in, stock_attend, through_seam
from tests.pipeline.wide_runs import Finds, counted
from tests.tiny_hunyuan_video15 import (
    GLYPH_KEYS,
    IMAGE_KEYS,
    PROMPT_KEYS,
    tiny_hunyuan_video15,
)

TOKENS, TEXT_KEYS = 12, PROMPT_KEYS + GLYPH_KEYS + IMAGE_KEYS


@pytest.fixture
def pipe():
    return tiny_hunyuan_video15()


def test_an_attend_gets_what_the_model_would_have_attended_to(pipe, monkeypatch):
    theirs = []
    stock_dispatch = transformer_hunyuan_video15.dispatch_attention_fn

    def spy(query, key, value, **kwargs):
        tokens = tuple(x.clone() for x in (query, key, value))
        theirs.append((*tokens, kwargs["attn_mask"]))
        return stock_dispatch(query, key, value, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(transformer_hunyuan_video15, "dispatch_attention_fn", spy)
        latents(pipe)
    ours, _ = seen_in(pipe, range(LAYERS))

    assert len(ours) == len(theirs) == STEPS * 2 * LAYERS
    for mine, (*expected, mask) in zip(ours, theirs, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(mine.tokens, expected, strict=True))
        # Tokens of the video attend to whatever is not masked.
        assert torch.equal(mine.moment.key_offset == 0, mask[:, 0, 0])
        assert mine.query.shape[1] == TOKENS + TEXT_KEYS


def test_moments_follow_the_guider_through_the_loop(pipe):
    # Higher than wide, so that rows and columns are not mistaken for each other.
    size = {"height": 64, "width": 32}
    seen, clock = seen_in(pipe, [1], **size)
    expected = [(step, branch) for step in range(STEPS) for branch in ("cond", "uncond")]
    assert [(each.moment.step, each.moment.branch) for each in seen] == expected
    assert {each.moment.grid.shape for each in seen} == {(3, 4, 2)}
    assert clock.forwards == 2 * STEPS
    alone, _ = seen_in(pipe, [1], guidance_scale=1.0)
    assert [each.moment.branch for each in alone] == ["cond"] * STEPS


def keys_of(pipe, prompt, word):
    """Positions of a word among the text keys, as generate() finds them."""
    adapter = adapter_for(pipe.transformer)
    request = resolve_request(pipe, prompt, {word: 2}, "subjects", adapter, {})
    assert request.num_keys == TEXT_KEYS
    return request.rows[0].positions[0]


def test_a_noun_has_the_key_that_its_embedding_moves(pipe):
    """The prompt is put before the masked tokens of glyphs and image."""

    def first_keys(prompt):
        (seen, *_), _ = seen_in(pipe, [0], prompt=prompt)
        return seen.key[0, seen.moment.joint.text_rows]

    cats, dogs = (first_keys(f"two {noun} on the grass") for noun in ("cats", "dogs"))
    (at,) = keys_of(pipe, "two cats on the grass", "cats")
    # A causal encoder: what stands before the noun knows nothing of it. The refiner mixes a little.
    moved = (cats - dogs).norm(dim=(1, 2))
    assert int(moved.argmax()) == at
    assert keys_of(pipe, "photo of two dogs", "dogs") == (3,)


def test_the_guider_says_the_scale(pipe):
    scale = adapter_for(pipe.transformer).guidance_scale
    pipe.guider = ClassifierFreeGuidance(guidance_scale=4.0)
    assert scale(pipe, {}) == 4.0
    pipe.guider = ClassifierFreeGuidance(guidance_scale=4.0, enabled=False)
    assert scale(pipe, {}) == 1.0


@pytest.mark.parametrize(
    ("guider", "named"),
    [
        (AdaptiveProjectedGuidance(), "AdaptiveProjectedGuidance with"),
        (ClassifierFreeGuidance(guidance_rescale=0.5), "guidance_rescale 0.5"),
        (ClassifierFreeGuidance(use_original_formulation=True), "ClassifierFreeGuidance with"),
    ],
)
def test_other_guidance_is_refused_by_name(pipe, guider, named):
    pipe.guider = guider
    with pytest.raises(UnsupportedModelError, match=f"{named}.*plain ClassifierFreeGuidance"):
        counted(pipe, Finds(), "one-pass")


@pytest.mark.parametrize(
    ("call", "named"),
    [
        ({"prompt": 'two cats and a sign "dogs"'}, "quotes text to be written"),
        ({"prompt": ["two cats", "two cats at “home”"]}, "quotes text to be written"),
        ({"image": object()}, "image=object puts what it shows before the text"),
    ],
)
def test_what_would_move_the_nouns_is_refused_before_the_run(pipe, call, named):
    with pytest.raises(UnsupportedModelError, match=named):
        PipelineRun(pipe, short_call(pipe, **call))


def test_a_tokenizer_that_pads_on_the_left_is_refused():
    with pytest.raises(UnsupportedModelError, match="pads on the left"):
        keys_of(tiny_hunyuan_video15(padding_side="left"), "two cats", "cats")


def test_half_precision_and_the_users_backend_keep_their_bits(pipe):
    pipe.transformer.to(torch.bfloat16)
    pipe.transformer.set_attention_backend("_native_math")
    plain = latents(pipe)
    sites = {Site(layer, "cross"): stock_attend for layer in range(LAYERS)}
    assert torch.equal(through_seam(pipe, sites)[0], plain)
