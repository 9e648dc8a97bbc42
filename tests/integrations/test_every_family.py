"""What holds at the seam to every family of models: exact while watched, gone when left."""

from contextlib import ExitStack
from itertools import pairwise
from typing import Any

import pytest
import torch

from numina.errors import AlreadyGuidedError, UnsupportedModelError
from numina.generation.run import PipelineRun
from numina.integrations import Site, adapter_for, attached, noise_scale
from tests.calls import short_call
from tests.families import FAMILIES, LAYERS, STEPS, Family
from tests.integrations.seam_runs import (
    clean_latents,
    latents,
    processors,
    seen_in,
    stock_attend,
    through_seam,
    tilted,
)

pytestmark = pytest.mark.slow

ALL_SITES = [Site(layer, kind) for layer in range(LAYERS) for kind in ("self", "cross")]


@pytest.fixture(params=FAMILIES)
def family(request) -> Family:
    return FAMILIES[request.param]


@pytest.fixture
def pipe(family) -> Any:
    return family.build()


def test_watching_every_layer_leaves_the_run_bit_identical(pipe):
    watch_every_layer(pipe)


@pytest.mark.parametrize("name", [name for name in FAMILIES if FAMILIES[name].fuses])
def test_watching_fused_projections_leaves_the_run_bit_identical(name):
    pipe = FAMILIES[name].build()
    pipe.transformer.fuse_qkv_projections()
    watch_every_layer(pipe)


def watch_every_layer(pipe):
    before, plain = processors(pipe), latents(pipe)
    watched, _ = through_seam(pipe, dict.fromkeys(ALL_SITES, stock_attend))
    assert torch.equal(watched, plain)
    assert processors(pipe) == before
    assert torch.equal(latents(pipe), plain)


def test_what_an_attend_returns_is_what_the_layer_uses(pipe):
    def silence(query, key, value, moment, stock):
        return torch.zeros_like(query)

    silenced, _ = through_seam(pipe, {Site(1, "cross"): silence})
    assert not torch.equal(silenced, latents(pipe))


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_everything_is_taken_off_after_an_exception(pipe, error):
    """Cases 31 and 32 of the life of a pipeline, at the seam."""
    before, plain = processors(pipe), latents(pipe)

    def fail(query, key, value, moment, stock):
        raise error

    with pytest.raises(error):
        through_seam(pipe, {Site(1, "cross"): fail, Site(1, "self"): stock_attend})

    assert processors(pipe) == before
    assert "cache_context" not in vars(pipe.transformer)
    assert not pipe.transformer._forward_hooks
    assert not pipe.transformer._forward_pre_hooks
    assert torch.equal(latents(pipe), plain)


def test_a_second_holder_is_refused(pipe):
    """Case 34: twice on."""
    adapter = adapter_for(pipe.transformer)
    with (
        attached(pipe.transformer, {}, adapter),
        pytest.raises(AlreadyGuidedError, match="already guided"),
        attached(pipe.transformer, {}, adapter),
    ):
        pass
    with attached(pipe.transformer, {}, adapter):
        pass


def test_holders_may_leave_in_any_order_and_twice(pipe, family):
    """Case 34: twice off, wrong order."""
    held = [pipe, family.build()]
    before = [processors(each) for each in held]
    leaves = []
    for transformer in (each.transformer for each in held):
        leave = ExitStack()
        leave.enter_context(
            attached(transformer, dict.fromkeys(ALL_SITES, stock_attend), adapter_for(transformer))
        )
        leaves.append(leave)
    for leave in (*leaves, *leaves):
        leave.close()
    assert [processors(each) for each in held] == before
    for transformer in (each.transformer for each in held):
        assert "cache_context" not in vars(transformer)
        assert not transformer._forward_hooks
        assert not transformer._forward_pre_hooks


def test_a_layer_that_is_not_there_is_refused_before_anything_is_touched(pipe):
    before = processors(pipe)
    with pytest.raises(UnsupportedModelError, match="has no layer 9"):
        through_seam(pipe, {Site(0, "self"): stock_attend, Site(9, "self"): stock_attend})
    assert processors(pipe) == before


def test_a_foreign_processor_is_refused_by_name(pipe, family):
    foreign = type("Foreign", (family.processor,), {})()
    module = adapter_for(pipe.transformer).module(pipe.transformer, Site(1, "cross"))
    module.processor = foreign
    with pytest.raises(
        UnsupportedModelError,
        match=f"layer 1 attends through Foreign.*restore .*{family.processor.__name__}",
    ):
        through_seam(pipe, {Site(1, "cross"): stock_attend})


def test_a_pipeline_saved_while_it_is_held_is_loaded_and_watched_as_the_plain_one(pipe, tmp_path):
    transformer = pipe.transformer
    with attached(transformer, dict.fromkeys(ALL_SITES, stock_attend), adapter_for(transformer)):
        pipe.save_pretrained(tmp_path)
    loaded = type(pipe).from_pretrained(tmp_path)
    loaded.set_progress_bar_config(disable=True)
    weights = loaded.transformer.state_dict()
    assert weights.keys() == transformer.state_dict().keys()
    assert all(torch.equal(weights[name], x) for name, x in transformer.state_dict().items())
    # Weights from a file lie elsewhere in memory, which may change the last bits of a product.
    plain = latents(loaded)
    torch.testing.assert_close(plain, latents(pipe), atol=1e-4, rtol=1e-4)
    watched, _ = through_seam(loaded, dict.fromkeys(ALL_SITES, stock_attend))
    assert torch.equal(watched, plain)


def test_noise_levels_are_known_before_the_run(pipe):
    seen, _ = seen_in(pipe, [0], guidance_scale=1.0)
    levels = PipelineRun(pipe, short_call(pipe, output_type="latent", guidance_scale=1.0)).noises
    assert len(levels) == STEPS
    assert [each.moment.noise for each in seen] == pytest.approx(levels, abs=1e-6)
    assert 0.9 < levels[0] <= 1.0
    assert all(later < sooner for sooner, later in pairwise(levels))


def test_a_call_without_steps_has_the_pipelines_own_number(pipe):
    call = short_call(pipe, output_type="latent", guidance_scale=1.0)
    del call["num_inference_steps"]
    levels = PipelineRun(pipe, call).noises
    pipe(**call)
    assert levels == noise_scale(pipe.scheduler).levels(pipe.scheduler)


@pytest.mark.parametrize("change", [None, tilted])
@pytest.mark.parametrize("guidance_scale", [5.0, 1.0])
@pytest.mark.parametrize("name", [name for name in FAMILIES if FAMILIES[name].flow])
def test_the_clean_latent_is_where_the_scheduler_would_go(name, guidance_scale, change):
    """A scheduler of flows that goes straight to its last noise level finds the clean latent."""
    pipe = FAMILIES[name].build()
    ours, theirs, frames = clean_latents(pipe, change, guidance_scale=guidance_scale)
    assert len(ours) == len(theirs) == STEPS
    for mine, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours[-1], frames, atol=1e-5, rtol=1e-5)
