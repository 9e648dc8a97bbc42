"""The seam to Mochi: valid text alone, both branches in one pass, noise counted the other way."""

from types import SimpleNamespace

import pytest
import torch
from diffusers.models import attention_processor
from torch.nn import functional

from numina.attend import conditional
from numina.errors import ScheduleError, UnsupportedModelError
from numina.generation.run import PipelineRun
from numina.integrations import Site
from tests.families import LAYERS, STEPS
from tests.integrations.seam_runs import latents, seen_in, through_seam
from tests.tiny_cogvideox import TEXT_KEYS, run_kwargs
from tests.tiny_mochi import tiny_mochi
from tests.tiny_wan import NEGATIVE_PROMPT, PROMPT

TOKENS = 8


@pytest.fixture
def pipe():
    return tiny_mochi()


def length(pipe, prompt):
    """Tokens of a prompt, with the one that ends it."""
    return min(len(pipe.tokenizer(prompt).input_ids), TEXT_KEYS)


def test_an_attend_gets_what_the_model_would_have_attended_to(pipe, monkeypatch):
    theirs = []

    def spy(query, key, value, **kwargs):
        theirs.append(tuple(x[0].transpose(0, 1).clone() for x in (query, key, value)))
        return functional.scaled_dot_product_attention(query, key, value, **kwargs)

    stand_in = SimpleNamespace(scaled_dot_product_attention=spy, pad=functional.pad)
    monkeypatch.setattr(attention_processor, "F", stand_in)
    latents(pipe)
    monkeypatch.undo()
    seen, _ = seen_in(pipe, range(LAYERS))
    # The stock code attends row by row, among the tokens that are not masked.
    ours = [
        tuple(x[row][each.moment.key_offset[row] == 0] for x in each.tokens)
        for each in seen
        for row in range(2)
    ]

    assert len(ours) == len(theirs) == 2 * STEPS * LAYERS
    for mine, expected in zip(ours, theirs, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(mine, expected, strict=True))


def test_moments_follow_the_loop(pipe):
    seen, clock = seen_in(pipe, range(LAYERS))
    moments = [each.moment for each in seen]
    assert [(m.step, m.branch, m.layer) for m in moments] == [
        (step, "both", layer) for step in range(STEPS) for layer in range(LAYERS)
    ]
    assert {m.grid.shape for m in moments} == {(2, 2, 2)}
    assert {(m.joint.video_rows.start, m.joint.video_rows.stop) for m in moments} == {(0, TOKENS)}
    assert {m.joint.text for m in moments} == {TEXT_KEYS}
    expected = torch.zeros(2, TOKENS + TEXT_KEYS)
    expected[0, TOKENS + length(pipe, NEGATIVE_PROMPT) :] = -torch.inf
    expected[1, TOKENS + length(pipe, PROMPT) :] = -torch.inf
    assert all(torch.equal(m.key_offset, expected) for m in moments)
    assert clock.forwards == 2 * STEPS


def test_without_guidance_a_pass_is_the_conditional_branch(pipe):
    seen, clock = seen_in(pipe, [0], guidance_scale=1.0)
    assert {each.moment.branch for each in seen} == {"cond"}
    assert {each.moment.key_offset.shape[0] for each in seen} == {1}
    assert clock.forwards == STEPS


def test_the_conditional_half_is_the_one_the_prompt_moves(pipe):
    def text_keys(prompt):
        (each, *_), _ = seen_in(pipe, [0], prompt=prompt)
        key = each.key[:, each.moment.joint.text_rows]
        return key[:1], conditional(each.moment.branch, key)

    (cats_first, cats), (dogs_first, dogs) = text_keys("three cats"), text_keys("two dogs")
    assert torch.equal(cats_first, dogs_first)
    assert not torch.equal(cats, dogs)


def test_stock_attention_may_be_asked_for_the_first_rows_alone(pipe):
    (each, *_), _ = seen_in(pipe, [1])
    whole = each.stock(*each.tokens)
    assert torch.equal(each.stock(*(x[:1] for x in each.tokens)), whole[:1])
    masked = each.moment.key_offset[1] != 0
    assert masked.any()
    assert torch.equal(whole[1, masked], torch.zeros_like(whole[1, masked]))


def test_empty_text_is_all_masked_where_the_pipeline_says_so(pipe):
    pipe.register_to_config(force_zeros_for_empty_prompt=True)
    offsets = []

    def record(query, key, value, moment, stock):
        offsets.append(moment.key_offset)
        return stock(query, key, value)

    sites = {Site(layer, "cross"): record for layer in range(LAYERS)}
    watched, _ = through_seam(pipe, sites, negative_prompt="")
    assert torch.isinf(offsets[0][0, TOKENS:]).all()
    assert torch.equal(watched, latents(pipe, negative_prompt=""))


def test_noise_falls_from_one_by_the_models_own_schedule(pipe):
    seen, _ = seen_in(pipe, [0])
    noises = [each.moment.noise for each in seen]
    assert noises == pytest.approx([1.0, 0.9875, 0.975, 0.725], abs=1e-6)


def test_a_schedule_without_two_halves_is_refused(pipe):
    with pytest.raises(ScheduleError, match=r"at least 2 for Mochi.* got 1"):
        PipelineRun(pipe, run_kwargs(num_inference_steps=1))


def test_several_videos_of_several_prompts_are_refused(pipe):
    """The pipeline would mask the text of one prompt by the length of another."""
    call = {"num_videos_per_prompt": 2, "negative_prompt": None}
    with pytest.raises(
        UnsupportedModelError, match="num_videos_per_prompt=2 with 2 prompts: Mochi"
    ):
        PipelineRun(pipe, run_kwargs(prompt=["a cat", PROMPT], **call), 4)
    run = PipelineRun(pipe, run_kwargs(prompt=PROMPT, output_type="latent", **call), 2)
    assert len(run.attempt({}, "").output.frames) == 2
