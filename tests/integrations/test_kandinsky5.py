"""The seam to Kandinsky 5: channels last, branches told by their order, as many keys as needed."""

import pytest
import torch
from diffusers.models.transformers import transformer_kandinsky
from diffusers.pipelines.kandinsky5.pipeline_kandinsky import Kandinsky5T2VPipeline

from numina.errors import PromptError, UnsupportedModelError
from numina.generation.request import resolve_request
from numina.generation.run import PipelineRun
from numina.integrations import Site, adapter_for
from tests.calls import short_call
from tests.integrations.seam_runs import clean_latents, latents, seen_at, tilted
from tests.tiny_kandinsky5 import CROPPED, TEMPLATE, tiny_kandinsky5

STEPS, LAYERS = 4, 3
ALL_SITES = [Site(layer, kind) for layer in range(LAYERS) for kind in ("self", "cross")]


@pytest.fixture
def pipe() -> Kandinsky5T2VPipeline:
    return tiny_kandinsky5()


def resolved(pipe, prompt, **call):
    adapter = adapter_for(pipe.transformer)
    return resolve_request(pipe, prompt, "auto", "subjects", adapter, call)


def test_an_attend_gets_what_the_model_would_have_attended_to(pipe, monkeypatch):
    theirs = []
    dispatch = transformer_kandinsky.dispatch_attention_fn

    def spy(query, key, value, **kwargs):
        theirs.append((query.clone(), key.clone(), value.clone()))
        return dispatch(query, key, value, **kwargs)

    monkeypatch.setattr(transformer_kandinsky, "dispatch_attention_fn", spy)
    latents(pipe)
    monkeypatch.undo()
    # The block before them is of the text alone.
    of_text = 1 + len(ALL_SITES)
    theirs = [each for at, each in enumerate(theirs) if at % of_text]
    ours = [each.tokens for each in seen_at(pipe, ALL_SITES)[0]]

    assert len(ours) == len(theirs) == 2 * STEPS * len(ALL_SITES)
    for mine, expected in zip(ours, theirs, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(mine, expected, strict=True))


@pytest.mark.parametrize("change", [None, tilted])
@pytest.mark.parametrize("guidance_scale", [5.0, 1.0])
@pytest.mark.parametrize("visual_cond", [True, False])
def test_the_clean_latent_is_where_the_scheduler_would_go(visual_cond, guidance_scale, change):
    pipe = tiny_kandinsky5(visual_cond=visual_cond)
    ours, theirs, frames = clean_latents(pipe, change, guidance_scale=guidance_scale)
    assert len(ours) == len(theirs) == STEPS
    for mine, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, expected.movedim(-1, 1), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours[-1], frames.movedim(-1, 1), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "prompt",
    [
        "three cats",
        "  a video of three  cats &amp; two dogs ",
        ["three cats", "a video of two dogs and three cats on the grass"],
    ],
)
def test_nouns_stand_among_the_keys_where_the_pipeline_has_them(pipe, prompt, monkeypatch):
    encoded = []
    forward = pipe.text_encoder.forward

    def spy(*args, **kwargs):
        encoded.append(kwargs["input_ids"])
        return forward(*args, **kwargs)

    monkeypatch.setattr(pipe.text_encoder, "forward", spy)
    keys = pipe.encode_prompt(prompt, max_sequence_length=16)[0].shape[1]

    request = resolved(pipe, prompt, max_sequence_length=16)
    assert request.num_keys == keys
    assert request.text().groups.index.shape == (len(request.rows), keys)
    (tokens,) = encoded
    for row, own in zip(request.rows, tokens[:, CROPPED:], strict=True):
        names = pipe.tokenizer.convert_ids_to_tokens(own.tolist())
        found = [[names[at].strip() for at in positions] for positions in row.positions]
        assert found == [[target.noun] for target in row.targets]


def test_a_prompt_that_fills_all_keys_is_taken_and_a_longer_one_refused(pipe):
    prompt = "three cats on the grass"
    most = len(pipe.tokenizer(TEMPLATE.format(prompt)).input_ids) - CROPPED
    assert resolved(pipe, prompt, max_sequence_length=most).num_keys == most
    with pytest.raises(PromptError, match=f"has {most} tokens, but the model takes {most - 1}"):
        resolved(pipe, prompt, max_sequence_length=most - 1)


class Processor:
    """What numina needs of one that takes images as well."""

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer


def test_the_tokenizer_may_be_a_processors(pipe):
    alone = resolved(pipe, "three cats", max_sequence_length=16)
    pipe.tokenizer = Processor(pipe.tokenizer)
    assert resolved(pipe, "three cats", max_sequence_length=16) == alone


def test_embeddings_do_not_say_which_token_is_which(pipe):
    with pytest.raises(PromptError, match="pass prompt= instead"):
        resolved(pipe, "three cats", prompt_embeds_qwen=torch.zeros(1, 5, 32))


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        ({"num_videos_per_prompt": 2}, "encode the prompt once .*repeat the prompt in a list"),
        ({"image": object()}, "image=object starts the video from an image.*T2VPipeline"),
    ],
)
def test_calls_that_guidance_could_not_follow_are_refused(pipe, call, sentence):
    with pytest.raises(UnsupportedModelError, match=sentence):
        PipelineRun(pipe, short_call(pipe, **call))


def test_sparse_attention_is_refused():
    pipe = tiny_kandinsky5(attention_type="nabla")
    with pytest.raises(UnsupportedModelError, match="attention_type 'nabla', which attends sparse"):
        PipelineRun(pipe, short_call(pipe))
