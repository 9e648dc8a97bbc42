"""generate() on transformers that are split over devices: refused by name, before the run."""

from unittest.mock import patch

import pytest
import torch
from diffusers import ContextParallelConfig, ParallelConfig, TensorParallelConfig
from torch import distributed
from torch.testing._internal.distributed.fake_pg import FakeStore

from numina.errors import UnsupportedParallelismError
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
    ("config", "named"),
    [
        (ContextParallelConfig(ring_degree=2), r"context parallelism \(ring_degree=2, uly"),
        (ContextParallelConfig(ulysses_degree=2), r"context parallelism \(.*ulysses_degree=2\)"),
    ],
    ids=["ring", "ulysses"],
)
@pytest.mark.parametrize("name", ["wan", "ltx-video"])
@pytest.mark.usefixtures("_two_ranks")
def test_context_parallelism_is_refused_by_name_before_the_run(name, config, named):
    pipe = FAMILIES[name].build()
    pipe.transformer.enable_parallelism(config=config)
    is_refused(pipe, named)


def test_tensor_parallelism_is_refused_by_name_before_the_run():
    """No family has a plan for it yet; this is what diffusers leaves on a transformer that has."""
    pipe = FAMILIES["wan"].build()
    config = ParallelConfig(tensor_parallel_config=TensorParallelConfig(tp_degree=2))
    pipe.transformer._parallel_config = config
    is_refused(pipe, r"tensor parallelism \(tp_degree=2\)")


def is_refused(pipe, named):
    with (
        patch.object(pipe, "encode_prompt", side_effect=AssertionError),
        pytest.raises(UnsupportedParallelismError, match=named),
    ):
        counted(pipe, Finds(), "one-pass")
