"""What holds at the seam to every family of models: exact while watched, gone when left."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import torch
from diffusers.models.attention_processor import CogVideoXAttnProcessor2_0
from diffusers.models.transformers.transformer_wan import WanAttnProcessor

from numina.errors import AlreadyGuidedError, UnsupportedModelError
from numina.integrations import Site, adapter_for, attached
from tests.integrations.seam_runs import latents, processors, stock_attend, through_seam
from tests.tiny_cogvideox import tiny_cogvideox
from tests.tiny_wan import tiny_wan

LAYERS = 3
ALL_SITES = [Site(layer, kind) for layer in range(LAYERS) for kind in ("self", "cross")]


@dataclass(frozen=True)
class Family:
    """How to build a tiny pipeline of `LAYERS` blocks, and what attends in it."""

    build: Callable[[], Any]
    processor: type


FAMILIES = {
    "wan": Family(tiny_wan, WanAttnProcessor),
    **{
        f"cogvideox-{variant}": Family(partial(tiny_cogvideox, variant), CogVideoXAttnProcessor2_0)
        for variant in ("2b", "5b", "1.5")
    },
}


@pytest.fixture(params=FAMILIES)
def family(request) -> Family:
    return FAMILIES[request.param]


@pytest.fixture
def pipe(family) -> Any:
    return family.build()


@pytest.mark.parametrize("fused", [False, True], ids=["separate", "fused"])
def test_watching_every_layer_leaves_the_run_bit_identical(pipe, fused):
    if fused:
        pipe.transformer.fuse_qkv_projections()
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


def test_a_layer_that_is_not_there_is_refused_before_anything_is_touched(pipe):
    before = processors(pipe)
    with pytest.raises(UnsupportedModelError, match="has no layer 9"):
        through_seam(pipe, {Site(0, "self"): stock_attend, Site(9, "self"): stock_attend})
    assert processors(pipe) == before


def test_a_foreign_processor_is_refused_by_name(pipe, family):
    foreign = type("Foreign", (family.processor,), {})()
    module = adapter_for(pipe.transformer).module(pipe.transformer, Site(1, "cross"))
    module.set_processor(foreign)
    with pytest.raises(
        UnsupportedModelError,
        match=f"layer 1 attends through Foreign.*restore {family.processor.__name__}",
    ):
        through_seam(pipe, {Site(1, "cross"): stock_attend})
