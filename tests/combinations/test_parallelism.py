"""generate() on transformers that are split over devices in a way that was not tried: refused."""

from unittest.mock import patch

import pytest
import torch
from diffusers import (
    ContextParallelConfig,
    FirstBlockCacheConfig,
    ParallelConfig,
    TensorParallelConfig,
    WanTransformer3DModel,
)
from diffusers.models._modeling_parallel import ContextParallelInput
from torch import distributed
from torch.testing._internal.distributed.fake_pg import FakeStore

from numina.errors import UnsupportedModelError, UnsupportedParallelismError
from tests.families import FAMILIES
from tests.pipeline.wide_runs import Finds, counted


@pytest.fixture
def _two_ranks(monkeypatch):
    """The first of two ranks; what it sends goes nowhere, so nothing but setting up may be done."""
    # Without an accelerator there is no device to be the one of this rank.
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 1)
    distributed.init_process_group("fake", store=FakeStore(), rank=0, world_size=2)
    yield
    distributed.destroy_process_group()


@pytest.mark.parametrize(
    ("name", "config", "named"),
    [
        ("wan", {"ring_degree": 2}, r"\(ring_degree=2, uly.*or use ContextParallelConfig\(ulysses"),
        ("ltx-video", {"ring_degree": 2}, r"context parallelism \(ring_degree=2, ulysses_degree=1"),
        ("ltx-video", {"ulysses_degree": 2}, r"context parallelism \(.*ulysses_degree=2\)"),
    ],
    ids=["a ring on wan", "a ring on ltx", "ulysses on ltx"],
)
@pytest.mark.usefixtures("_two_ranks")
def test_context_parallelism_is_refused_by_name_before_the_run(name, config, named):
    pipe = FAMILIES[name].build()
    pipe.transformer.enable_parallelism(config=ContextParallelConfig(**config))
    is_refused(pipe, named)


@pytest.mark.parametrize(
    "name",
    [
        "wan-vace",
        "skyreels-v2",
        "cogvideox-5b",
        "hunyuan-video",
        "hunyuan-video-1.5",
        "mochi",
        "allegro",
        "kandinsky-5",
        "cosmos-2.5",
    ],
)
@pytest.mark.usefixtures("_two_ranks")
def test_diffusers_has_no_plan_to_split_others_by(name):
    pipe = FAMILIES[name].build()
    with pytest.raises(ValueError, match="`cp_plan` must be provided"):
        pipe.transformer.enable_parallelism(config=ContextParallelConfig(ulysses_degree=2))


def test_a_ring_of_ulysses_is_refused_by_name():
    pipe = FAMILIES["wan"].build()
    config = ContextParallelConfig(ring_degree=2, ulysses_degree=2)
    pipe.transformer._parallel_config = ParallelConfig(context_parallel_config=config)
    is_refused(pipe, r"context parallelism \(ring_degree=2, ulysses_degree=2\)")


def test_tensor_parallelism_is_refused_by_name_before_the_run():
    """No family has a plan for it yet; this is what diffusers leaves on a transformer that has."""
    pipe = FAMILIES["wan"].build()
    config = ParallelConfig(tensor_parallel_config=TensorParallelConfig(tp_degree=2))
    pipe.transformer._parallel_config = config
    is_refused(pipe, r"tensor parallelism \(tp_degree=2\)")


@pytest.mark.usefixtures("_two_ranks")
def test_a_plan_that_splits_the_text_too_is_refused():
    """Each rank would look for the nouns at the beginning of its own part."""
    text = ContextParallelInput(split_dim=1, expected_dims=3, split_output=False)
    plan = {**WanTransformer3DModel._cp_plan, "blocks.*": {"encoder_hidden_states": text}}
    is_refused(split_wan(plan), r"splits encoder_hidden_states, the text.*leave out cp_plan=")


@pytest.mark.usefixtures("_two_ranks")
def test_a_processor_that_does_not_know_of_the_split_is_refused():
    """Its patches would attend to each other alone, and not to those of the other ranks."""
    pipe = split_wan()
    pipe.transformer.blocks[1].attn2.processor._parallel_config = None
    with pytest.raises(UnsupportedParallelismError, match=r"by nothing, but its Wan.*context par"):
        counted(pipe, Finds(), "one-pass")


@pytest.mark.usefixtures("_two_ranks")
def test_a_cache_is_refused_where_each_rank_would_decide_what_to_skip():
    pipe = split_wan()
    pipe.transformer.enable_cache(FirstBlockCacheConfig())
    with pytest.raises(
        UnsupportedModelError, match=r"FBC.*disable_cache\(\) on the transf.*first$"
    ):
        counted(pipe, Finds(), "one-pass")


@pytest.mark.usefixtures("_two_ranks")
def test_a_plain_run_of_one_rank_alone_is_refused():
    pipe = split_wan()
    with pytest.raises(UnsupportedParallelismError, match=r'on_oom="unguided".*leave on_oom out'):
        counted(pipe, Finds(), "one-pass", on_oom="unguided")


def split_wan(plan=None):
    """A pipeline as it may be, and is followed where both ranks are there."""
    pipe = FAMILIES["wan"].build()
    config = ContextParallelConfig(ulysses_degree=2)
    pipe.transformer.enable_parallelism(config=config, cp_plan=plan)
    return pipe


def is_refused(pipe, named):
    with (
        patch.object(pipe, "encode_prompt", side_effect=AssertionError),
        pytest.raises(UnsupportedParallelismError, match=named),
    ):
        counted(pipe, Finds(), "one-pass")
