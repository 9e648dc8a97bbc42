"""The seam to Wan: what it hands to an attention function, and what it tells of the moment."""

import pytest
import torch
from diffusers import WanPipeline
from diffusers.models.transformers import transformer_wan

from numina.errors import UnsupportedModelError, UnsupportedParallelismError
from numina.integrations import Site, adapter_for, attached
from tests.integrations.seam_runs import (
    clean_latents,
    latents,
    stock_attend,
    through_seam,
    tilted,
)
from tests.tiny_wan import tiny_wan

ALL_SITES = [Site(layer, kind) for layer in range(3) for kind in ("self", "cross")]


@pytest.fixture
def pipe() -> WanPipeline:
    return tiny_wan()


def test_an_attend_gets_what_the_model_would_have_attended_to(pipe, monkeypatch):
    ours, theirs = [], []
    stock_dispatch = transformer_wan.dispatch_attention_fn

    def spy(query, key, value, **kwargs):
        theirs.append((query.clone(), key.clone(), value.clone()))
        return stock_dispatch(query, key, value, **kwargs)

    def record(query, key, value, moment, stock):
        ours.append((query.clone(), key.clone(), value.clone()))
        return stock(query, key, value)

    monkeypatch.setattr(transformer_wan, "dispatch_attention_fn", spy)
    latents(pipe)
    monkeypatch.undo()
    through_seam(pipe, dict.fromkeys(ALL_SITES, record))

    assert len(ours) == len(theirs) == 4 * 2 * 6
    for mine, expected in zip(ours, theirs, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(mine, expected, strict=True))


def test_moments_follow_the_loop(pipe):
    seen = []

    def record(query, key, value, moment, stock):
        seen.append((moment.step, moment.branch, moment.layer, moment.grid.shape))
        return stock(query, key, value)

    _, clock = through_seam(pipe, {Site(1, "cross"): record})
    assert seen == [
        (step, branch, 1, (3, 2, 2)) for step in range(4) for branch in ("cond", "uncond")
    ]
    assert clock.forwards == 8


def test_moments_carry_the_noise_level_of_the_scheduler(pipe):
    noises = []

    def record(query, key, value, moment, stock):
        noises.append(moment.noise)
        return stock(query, key, value)

    through_seam(pipe, {Site(0, "self"): record}, guidance_scale=1.0)
    assert noises == pytest.approx(pipe.scheduler.sigmas[:-1].tolist())


def test_a_pipeline_that_announces_no_step_is_followed_by_counting(pipe):
    """Older pipelines name the branch only."""
    seen = []

    def record(query, key, value, moment, stock):
        seen.append((moment.step, round(moment.noise, 3)))
        return stock(query, key, value)

    transformer = pipe.transformer
    noisy, text = torch.randn(1, 16, 3, 4, 4), torch.randn(1, 16, 32)
    with (
        attached(transformer, {Site(0, "self"): record}, adapter_for(transformer)),
        torch.no_grad(),
    ):
        for timestep in (900.0, 400.0):
            for branch in ("cond", "uncond"):
                with transformer.cache_context(branch):
                    transformer(noisy, torch.tensor([timestep]), text)
    assert seen == [(0, 0.9), (0, 0.9), (1, 0.4), (1, 0.4)]


def test_predictions_are_the_models_own(pipe):
    predictions = []
    through_seam(pipe, {}, watch=predictions.append)
    assert [(p.step, p.branch) for p in predictions[:3]] == [
        (0, "cond"),
        (0, "uncond"),
        (1, "cond"),
    ]
    first, second = predictions[0], predictions[2]
    assert first.latents.shape == first.velocity.shape == (1, 16, 3, 4, 4)
    assert not torch.equal(first.latents, second.latents)


def test_attention_split_over_devices_is_refused(pipe):
    pipe.transformer.blocks[0].attn1.processor._parallel_config = object()
    with pytest.raises(UnsupportedParallelismError, match="WanAttnProcessor is split over devices"):
        through_seam(pipe, {Site(0, "self"): stock_attend})


def test_an_unknown_transformer_is_refused_with_a_way_out():
    """Case 41."""
    with pytest.raises(UnsupportedModelError, match=r"no adapter for Linear .*see docs/write"):
        adapter_for(torch.nn.Linear(1, 1))


def test_the_users_attention_backend_stays_in_use(pipe):
    pipe.transformer.set_attention_backend("native")
    plain = latents(pipe)
    watched, _ = through_seam(pipe, dict.fromkeys(ALL_SITES, stock_attend))
    assert torch.equal(watched, plain)


def test_an_expanded_timestep_is_read(pipe):
    """Wan 2.2 TI2V-5B gives every token its own timestep."""
    pipe = tiny_wan(expand_timesteps=True)
    plain = latents(pipe)
    watched, clock = through_seam(pipe, dict.fromkeys(ALL_SITES, stock_attend))
    assert torch.equal(watched, plain)
    assert clock.forwards == 8


# Above 0.8 noise there is the first transformer, below it the second.
@pytest.mark.parametrize("change", [None, tilted])
@pytest.mark.parametrize("scales", [(5.0, 3.0), (5.0, None), (5.0, 1.0), (5.0, 0.5), (1.0, 4.0)])
def test_each_of_two_transformers_is_guided_by_its_own_scale(scales, change):
    pipe = tiny_wan(two_transformers=True, boundary_ratio=0.8)
    calls = {"guidance_scale": scales[0], "guidance_scale_2": scales[1]}
    ours, theirs, frames = clean_latents(pipe, change, **calls)
    assert len(ours) == len(theirs) == 4
    for mine, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours[-1], frames, atol=1e-5, rtol=1e-5)
