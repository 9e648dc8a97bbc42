"""generate() on transformers with a cache, which may skip layers."""

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest
from diffusers import (
    FasterCacheConfig,
    FirstBlockCacheConfig,
    PyramidAttentionBroadcastConfig,
    SeaCacheConfig,
    TaylorSeerCacheConfig,
)
from diffusers.hooks import MagCacheConfig

from numina.attention.guide import Guide
from numina.errors import CaptureMissedError, UnsupportedModelError
from tests.combinations.ways import counts_are_kept
from tests.families import FAMILIES, LAYERS
from tests.pipeline.wide_runs import Finds, counted, left_as_it_was


def first_block(pipe: Any, skips: bool) -> FirstBlockCacheConfig:
    """Skips every block but the first after the first step, or nothing."""
    return FirstBlockCacheConfig(threshold=1e9 if skips else 0.0)


def pyramid(pipe: Any, skips: bool) -> PyramidAttentionBroadcastConfig:
    """Skips every attention after the first step, or nothing."""
    return PyramidAttentionBroadcastConfig(
        spatial_attention_block_skip_range=1000 if skips else 1,
        spatial_attention_timestep_skip_range=(-1, 1001),
        current_timestep_callback=lambda: pipe.current_timestep,
    )


Config = Callable[[Any, bool], Any]
cached = pytest.mark.parametrize(
    ("config", "name"),
    [(first_block, "wan"), (first_block, "cogvideox-5b"), (pyramid, "cogvideox-5b")],
)


def with_cache(name: str, config: Config, skips: bool) -> Any:
    pipe = FAMILIES[name].build()
    pipe.transformer.enable_cache(config(pipe, skips))
    return pipe


@cached
def test_counts_are_kept_while_the_cache_skips_nothing(config, name):
    counts_are_kept(with_cache(name, config, skips=False))


@pytest.mark.parametrize("mode", ["one-pass", "restart"])
@cached
def test_a_look_at_skipped_layers_is_an_error_until_the_cache_is_off(config, name, mode):
    """The first block may run all the same: a look must not be content with it."""
    pipe = with_cache(name, config, skips=True)
    with (
        left_as_it_was(pipe),
        pytest.raises(CaptureMissedError, match=r"layers.* ran.*disable_cache\(\)"),
    ):
        counted(pipe, Finds(found=(2, 3)), mode)
    pipe.transformer.disable_cache()
    assert counted(pipe, Finds(found=(2, 3)), mode).report.decision == "guided"


@cached
def test_guidance_begins_in_every_layer_whatever_the_cache_would_skip(config, name):
    """Else the layers that it skips would go on with what they computed without guidance."""
    pipe = with_cache(name, config, skips=True)
    guided, attend = set(), Guide.__call__

    def spied(guide, query, key, value, moment, stock):
        if not guide.is_idle and moment.branch != "uncond":
            guided.add((moment.step, moment.layer))
        return attend(guide, query, key, value, moment, stock)

    with left_as_it_was(pipe), patch.object(Guide, "__call__", spied):
        counted(pipe, Finds(found=(2,), looks=(1.0,)), "one-pass")
    layers = {(1, layer) for layer in range(LAYERS)}
    still_run = {(step, 0) for step in (2, 3)} if config is first_block else set()
    assert guided == layers | still_run


def test_a_run_that_a_callback_ends_leaves_nothing_in_the_cache():
    pipe = with_cache("wan", first_block, skips=True)

    def fail(*_):
        raise LookupError("of the user")

    with left_as_it_was(pipe), pytest.raises(LookupError, match="of the user"):
        counted(pipe, Finds(looks=(1.0,)), "one-pass", callback_on_step_end=fail)


OTHERS = [
    FasterCacheConfig(current_timestep_callback=lambda: 500),
    MagCacheConfig(mag_ratios=[1.0] * 4, num_inference_steps=4),
    SeaCacheConfig(),
    TaylorSeerCacheConfig(cache_identifiers=[r"blocks\.\d+\.attn\d"]),
]


@pytest.mark.parametrize("config", OTHERS, ids=lambda config: type(config).__name__)
def test_any_other_cache_is_refused_by_name_before_the_run(config):
    pipe = FAMILIES["wan"].build()
    pipe.transformer.enable_cache(config)
    name = type(config).__name__.removesuffix("Config").removesuffix("Cache")
    with (
        patch.object(pipe, "encode_prompt", side_effect=AssertionError),
        pytest.raises(UnsupportedModelError, match=rf"{name}.*disable_cache\(\)"),
    ):
        counted(pipe, Finds(), "one-pass")


def test_a_cache_that_branches_would_share_is_refused_at_the_second_pass():
    pipe = with_cache("wan", pyramid, skips=True)
    with (
        left_as_it_was(pipe),
        pytest.raises(UnsupportedModelError, match=r"PyramidAttention.*disable_cache\(\)"),
    ):
        counted(pipe, Finds(), "one-pass")


def test_diffusers_has_no_such_cache_for_allegro():
    pipe = FAMILIES["allegro"].build()
    with pytest.raises(ValueError, match=r"AllegroTransformerBlock.*not registered"):
        pipe.transformer.enable_cache(FirstBlockCacheConfig())
