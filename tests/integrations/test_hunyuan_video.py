"""The seam to HunyuanVideo: two kinds of blocks, masked text, one pass, and what it refuses."""

import pytest
import torch
from diffusers.models.transformers import transformer_hunyuan_video

from numina.combination import Combination
from numina.errors import PromptError, UnsupportedModelError
from numina.generation.request import resolve_request
from numina.generation.run import PipelineRun
from numina.integrations import Site, adapter_for
from tests.families import LAYERS, STEPS
from tests.integrations.seam_runs import latents, seen_in, stock_attend, through_seam
from tests.tiny_cogvideox import TEXT_KEYS, run_kwargs
from tests.tiny_hunyuan_video import tiny_hunyuan_video
from tests.tiny_wan import PROMPT

TOKENS = 12
# The words of the prompt and the token that ends it.
VALID = len(PROMPT.split()) + 1


@pytest.fixture
def pipe():
    return tiny_hunyuan_video()


def text_keys(pipe, prompt, word, **call):
    """Positions of a word among the text keys, as generate() finds them."""
    call = {"max_sequence_length": TEXT_KEYS, **call}
    adapter = adapter_for(pipe.transformer)
    request = resolve_request(pipe, prompt, {word: 2}, "subjects", adapter, call)
    assert request.num_keys == TEXT_KEYS
    return request.rows[0].positions[0]


def test_an_attend_gets_what_the_model_would_have_attended_to(pipe, monkeypatch):
    theirs = []
    stock_dispatch = transformer_hunyuan_video.dispatch_attention_fn

    def spy(query, key, value, **kwargs):
        tokens = tuple(x.clone() for x in (query, key, value))
        theirs.append((*tokens, kwargs["attn_mask"]))
        return stock_dispatch(query, key, value, **kwargs)

    monkeypatch.setattr(transformer_hunyuan_video, "dispatch_attention_fn", spy)
    latents(pipe)
    monkeypatch.undo()
    ours, _ = seen_in(pipe, range(LAYERS))

    assert len(ours) == len(theirs) == STEPS * LAYERS
    for mine, (*expected, mask) in zip(ours, theirs, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(mine.tokens, expected, strict=True))
        assert torch.equal(mine.moment.key_offset == 0, mask[:, 0, 0])


def test_moments_follow_the_loop_through_both_kinds_of_blocks(pipe):
    seen, clock = seen_in(pipe, range(LAYERS))
    moments = [each.moment for each in seen]
    assert [(m.step, m.branch, m.layer) for m in moments] == [
        (step, "cond", layer) for step in range(STEPS) for layer in range(LAYERS)
    ]
    assert {m.grid.shape for m in moments} == {(3, 2, 2)}
    assert {(m.joint.video_rows.start, m.joint.video_rows.stop) for m in moments} == {(0, TOKENS)}
    assert {m.joint.text for m in moments} == {TEXT_KEYS}
    expected = torch.zeros(1, TOKENS + TEXT_KEYS)
    expected[:, TOKENS + VALID :] = -torch.inf
    assert all(torch.equal(m.key_offset, expected) for m in moments)
    assert clock.forwards == STEPS


def test_true_guidance_has_an_unconditional_pass_behind_each_conditional_one(pipe):
    seen, clock = seen_in(pipe, [0], true_cfg_scale=3.0, negative_prompt="blurry")
    assert [(each.moment.step, each.moment.branch) for each in seen] == [
        (step, branch) for step in range(STEPS) for branch in ("cond", "uncond")
    ]
    valid = [int((each.moment.key_offset == 0).sum()) - TOKENS for each in seen[:2]]
    assert valid == [VALID, 2]
    assert clock.forwards == 2 * STEPS


@pytest.mark.parametrize(
    ("call", "scale"),
    [
        ({}, 1.0),
        ({"true_cfg_scale": 3.0}, 3.0),
        ({"true_cfg_scale": 3.0, "negative_prompt": None}, 1.0),
        ({"true_cfg_scale": 0.5}, 1.0),
    ],
    ids=["embedded", "true", "no negative prompt", "scale below one"],
)
def test_the_guidance_scale_is_that_of_the_unconditional_pass(pipe, call, scale):
    run = PipelineRun(pipe, run_kwargs(output_type="latent", **call))
    assert run.combination() == Combination(scale)
    forwards = run.attempt({}, "").cost.forwards
    assert forwards == (2 if scale > 1 else 1) * STEPS


def test_stock_attention_may_be_asked_for_the_first_rows_alone(pipe):
    seen, _ = seen_in(pipe, [LAYERS - 1], prompt=["a cat", PROMPT], negative_prompt=None)
    whole = seen[0].stock(*seen[0].tokens)
    first = seen[0].stock(*(x[:1] for x in seen[0].tokens))
    torch.testing.assert_close(first, whole[:1], atol=1e-6, rtol=1e-6)


def test_several_videos_of_a_prompt_have_its_mask(pipe):
    prompts = ["a cat", PROMPT]
    seen, _ = seen_in(pipe, [0], prompt=prompts, negative_prompt=None, num_videos_per_prompt=2)
    offset = seen[0].moment.key_offset[:, TOKENS:]
    assert (offset == 0).sum(1).tolist() == [3, 3, VALID, VALID]


@pytest.mark.parametrize(
    "template",
    [
        {},
        {"prompt_template": {"template": "a video of {}, playing", "crop_start": 2}},
        {"prompt_template": {"template": "{}", "crop_start": 0}},
    ],
    ids=["default", "own", "none"],
)
def test_a_nouns_key_is_the_one_that_the_noun_changes(pipe, template):
    """Llama looks back only: the first embedding that another noun changes is that noun's own."""
    (at,) = text_keys(pipe, "a dog and two cats on grass", "cats", **template)

    def embeddings(noun):
        prompt = f"a dog and two {noun} on grass"
        encoded = pipe.encode_prompt(prompt, max_sequence_length=TEXT_KEYS, **template)
        return encoded[0][0]

    with torch.no_grad():
        cats, birds = embeddings("cats"), embeddings("birds")
    changed = (cats != birds).any(-1).nonzero().flatten()
    assert int(changed[0]) == at


def test_the_default_template_is_cropped_where_the_prompt_begins(pipe):
    assert text_keys(pipe, "cats and dogs", "cats") == (0,)
    assert text_keys(pipe, "a cat and two blue dogs", "dogs") == (4, 5)
    # The new line becomes part of the template's last token.
    assert text_keys(pipe, "\ncats and dogs", "cats") == (0,)


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        ({"template": "{0} or {0}", "crop_start": 0}, "has the prompt 2 times.*write {} once"),
        ({"template": "cats", "crop_start": 0}, "has the prompt 0 times.*write {} once"),
        ({"template": "a video of {}"}, "has crop_start None; pass the number of tokens before"),
        ({"template": "{}", "crop_start": -1}, "has crop_start -1; pass"),
    ],
)
def test_templates_that_hide_the_prompts_tokens_are_refused(pipe, template, sentence):
    with pytest.raises(UnsupportedModelError, match=sentence):
        text_keys(pipe, "two cats", "cats", prompt_template=template)


def test_a_template_whose_crop_reaches_into_the_prompt_is_refused(pipe):
    template = {"template": "a video of {}", "crop_start": 6}
    with pytest.raises(PromptError, match=r"crops the first 6 tokens, but .* begins at token 4"):
        text_keys(pipe, "two cats", "cats", prompt_template=template)


def test_a_tokenizer_that_pads_on_the_left_is_refused():
    pipe = tiny_hunyuan_video(padding_side="left")
    with pytest.raises(UnsupportedModelError, match=r"first 95 .*padding_side = \"right\""):
        text_keys(pipe, "two cats", "cats")


def test_sigmas_of_the_users_are_followed(pipe):
    sigmas = [1.0, 0.6, 0.2]
    run = PipelineRun(pipe, run_kwargs(sigmas=sigmas, num_inference_steps=3))
    seen, _ = seen_in(pipe, [0], sigmas=sigmas, num_inference_steps=3)
    assert [each.moment.noise for each in seen] == pytest.approx(run.noises)
    # The scheduler shifts them by 7.
    assert run.noises == pytest.approx([7 * s / (1 + 6 * s) for s in sigmas])


@pytest.mark.parametrize("kind", ["latent_concat", "token_replace"])
def test_image_to_video_is_refused(kind):
    pipe = tiny_hunyuan_video(image_condition_type=kind)
    with pytest.raises(UnsupportedModelError, match=f"'{kind}': it makes videos from images"):
        PipelineRun(pipe, run_kwargs())


def test_patches_of_several_frames_are_refused(pipe):
    pipe.transformer.register_to_config(patch_size_t=2)
    with pytest.raises(UnsupportedModelError, match="patch_size_t 2"):
        PipelineRun(pipe, run_kwargs())


def test_the_users_attention_backend_stays_in_use(pipe):
    pipe.transformer.set_attention_backend("native")
    backends = []

    def record(query, key, value, moment, stock):
        block = pipe.transformer.transformer_blocks[0]
        backends.append(block.attn.processor._attention_backend)
        return stock(query, key, value)

    plain = latents(pipe)
    watched, _ = through_seam(pipe, {Site(0, "cross"): record, Site(2, "self"): stock_attend})
    assert torch.equal(watched, plain)
    assert {backend.value for backend in backends} == {"native"}
