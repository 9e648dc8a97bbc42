"""The seam to CogVideoX: joint attention, both branches in one pass, and what it refuses."""

from types import SimpleNamespace

import pytest
import torch
from diffusers.models import attention_processor
from torch.nn import functional

from numina.attend import conditional
from numina.attention.clean_prediction import CleanPrediction
from numina.errors import UnsupportedModelError
from numina.generation.run import PipelineRun
from numina.integrations import Site
from tests.integrations.seam_runs import latents, stock_attend, through_seam, tilted
from tests.tiny_cogvideox import TEXT_KEYS, run_kwargs, tiny_cogvideox

STEPS, LAYERS = 4, 3
ALL_SITES = [Site(layer, kind) for layer in range(LAYERS) for kind in ("self", "cross")]
GRIDS = {"2b": (3, 2, 2), "5b": (3, 2, 2), "1.5": (2, 2, 2)}


@pytest.fixture(params=GRIDS)
def variant(request):
    return request.param


@pytest.fixture
def pipe(variant):
    return tiny_cogvideox(variant)


@pytest.mark.parametrize("fused", [False, True], ids=["separate", "fused"])
def test_an_attend_gets_what_the_model_would_have_attended_to(pipe, fused, monkeypatch):
    if fused:
        pipe.fuse_qkv_projections()
    ours, theirs = [], []

    def spy(query, key, value, **kwargs):
        theirs.append(tuple(x.transpose(1, 2).clone() for x in (query, key, value)))
        return functional.scaled_dot_product_attention(query, key, value, **kwargs)

    def record(query, key, value, moment, stock):
        ours.append((query.clone(), key.clone(), value.clone()))
        return stock(query, key, value)

    spying = SimpleNamespace(scaled_dot_product_attention=spy)
    monkeypatch.setattr(attention_processor, "F", spying)
    latents(pipe)
    monkeypatch.undo()
    through_seam(pipe, {Site(layer, "cross"): record for layer in range(LAYERS)})

    assert len(ours) == len(theirs) == STEPS * LAYERS
    for mine, expected in zip(ours, theirs, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(mine, expected, strict=True))


def test_functions_of_both_kinds_meet_at_the_one_module(pipe):
    seen = []

    def named(name):
        def attend(query, key, value, moment, stock):
            seen.append((moment.layer, name))
            return stock(query, key, value)

        return attend

    through_seam(
        pipe,
        {Site(1, "cross"): named("cross"), Site(1, "self"): named("self")},
        num_inference_steps=1,
    )
    assert seen == [(1, "self"), (1, "cross")]


def test_moments_follow_the_loop(pipe, variant):
    moments = []

    def record(query, key, value, moment, stock):
        moments.append(moment)
        assert query.shape[:2] == (2, TEXT_KEYS + moment.grid.tokens)
        return stock(query, key, value)

    _, clock = through_seam(pipe, {Site(1, "cross"): record})
    assert [(m.step, m.branch, m.layer) for m in moments] == [(s, "both", 1) for s in range(STEPS)]
    assert {m.grid.shape for m in moments} == {GRIDS[variant]}
    joint = moments[0].joint
    assert (joint.text_rows, joint.video_rows) == (
        slice(0, TEXT_KEYS),
        slice(TEXT_KEYS, TEXT_KEYS + moments[0].grid.tokens),
    )
    assert clock.forwards == 2 * STEPS


def test_without_guidance_a_pass_is_the_conditional_branch(pipe):
    branches = set()

    def record(query, key, value, moment, stock):
        branches.add(moment.branch)
        return stock(query, key, value)

    _, clock = through_seam(pipe, {Site(0, "self"): record}, guidance_scale=1.0)
    assert branches == {"cond"}
    assert clock.forwards == STEPS


def test_the_conditional_half_is_the_one_the_prompt_moves(pipe):
    """The order of the halves, told by what a change of the prompt changes at the first layer."""

    def text_keys(prompt):
        keys = []

        def record(query, key, value, moment, stock):
            keys.append((key[:, moment.joint.text_rows], moment.branch))
            return stock(query, key, value)

        through_seam(pipe, {Site(0, "cross"): record}, prompt=prompt, num_inference_steps=1)
        key, branch = keys[0]
        return key[:1], conditional(branch, key)

    (cats_first, cats), (dogs_first, dogs) = text_keys("three cats"), text_keys("two dogs")
    assert torch.equal(cats_first, dogs_first)
    assert not torch.equal(cats, dogs)


def test_noise_levels_are_those_of_a_flow_with_the_same_signal_to_noise(pipe):
    noises = []

    def record(query, key, value, moment, stock):
        noises.append(moment.noise)
        return stock(query, key, value)

    through_seam(pipe, {Site(0, "cross"): record})
    alpha_bars = pipe.scheduler.alphas_cumprod[pipe.scheduler.timesteps]
    signal_to_noise = [(1 - noise) ** 2 / noise**2 for noise in noises]
    assert signal_to_noise == pytest.approx((alpha_bars / (1 - alpha_bars)).tolist(), rel=1e-5)
    assert noises[0] == 1.0
    assert tuple(noises) == PipelineRun(pipe, run_kwargs()).noises


@pytest.mark.parametrize("change", [None, tilted])
@pytest.mark.parametrize("scheduler", ["ddim", "dpm"])
@pytest.mark.parametrize("guidance_scale", [5.0, 1.0])
def test_the_clean_latent_is_the_schedulers_own(
    variant, scheduler, guidance_scale, change, monkeypatch
):
    pipe = tiny_cogvideox(variant, scheduler=scheduler)
    theirs, ours = [], []
    step = pipe.scheduler.step

    def spy(*args, **kwargs):
        stepped = step(*args, **{**kwargs, "return_dict": False})
        theirs.append(stepped[1])
        return stepped

    call = {"guidance_scale": guidance_scale}
    run = PipelineRun(pipe, run_kwargs(output_type="latent", **call))
    monkeypatch.setattr(pipe.scheduler, "step", spy)
    run.attempt(
        {}, "", CleanPrediction(run.combination, lambda _, clean: ours.append(clean), change)
    )

    assert len(ours) == len(theirs) == STEPS
    for mine, expected in zip(ours, theirs, strict=True):
        # CogVideoX 1.5: the two frames of a patch lie side by side as channels.
        frames = mine.transpose(1, 2).reshape(expected.shape)
        torch.testing.assert_close(frames, expected, atol=1e-5, rtol=1e-5)


def test_a_batch_whose_rows_are_no_branches_is_refused(pipe):
    with pytest.raises(
        UnsupportedModelError, match=r"videos is 1, but .* batch of 6.*pass videos="
    ):
        through_seam(pipe, {}, prompt=["cats"] * 3, negative_prompt=["blurry"] * 3)


def test_a_mask_is_refused(pipe):
    mask = {"attention_mask": torch.zeros(1, 1, 1)}
    with pytest.raises(UnsupportedModelError, match=r"layer 0 got an attention_mask \("):
        through_seam(pipe, {Site(0, "cross"): stock_attend}, attention_kwargs=mask)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        ({"use_dynamic_cfg": True}, "use_dynamic_cfg=True changes the guidance scale"),
        ({"num_videos_per_prompt": 2}, "repeat the prompt in a list"),
        ({"timesteps": [900, 500]}, "pass num_inference_steps instead"),
    ],
)
def test_calls_that_guidance_could_not_follow_are_refused(call, sentence):
    with pytest.raises(UnsupportedModelError, match=sentence):
        PipelineRun(tiny_cogvideox(), run_kwargs(**call))


def test_image_to_video_is_refused_by_its_channels():
    with pytest.raises(UnsupportedModelError, match=r"takes 8 channels and predicts 4.*text-to-"):
        PipelineRun(tiny_cogvideox(in_channels=8), run_kwargs())


def test_a_scheduler_whose_noise_cannot_be_read_is_refused():
    pipe = tiny_cogvideox()
    pipe.scheduler.register_to_config(prediction_type="epsilon")
    with pytest.raises(UnsupportedModelError, match=r"CogVideoXDDIMScheduler.*'epsilon'"):
        PipelineRun(pipe, run_kwargs())
