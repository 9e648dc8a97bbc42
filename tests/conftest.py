"""Fixtures of the whole suite."""

import os

# Before torch and transformers are imported: no test may ask a server for anything, and idle
# OpenMP threads must sleep, or they take the cores from the ones that work.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("KMP_BLOCKTIME", "0")

import random
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import settings

if TYPE_CHECKING:
    from diffusers import WanPipeline

# Without a GPU the kernels of Triton run in its interpreter. Triton reads this when it is imported,
# so it must be set before anything asks for Triton; torch does so when it compiles.
if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")

# The same cases in every run, so that a failure is of the change at hand; `make test-all` draws
# others.
settings.register_profile("repeatable", derandomize=True)
settings.load_profile("repeatable")

# The same number everywhere: the order of a sum, and with it the last bits, depends on it.
torch.set_num_threads(2)

# Every way to get memory that holds whatever was there before.
UNINITIALISED = [
    (torch, "empty"),
    (torch, "empty_like"),
    (torch, "empty_strided"),
    (torch.Tensor, "new_empty"),
    (torch.Tensor, "new_empty_strided"),
]


# Before the items are chosen by their markers.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("exhaustive"):
            item.add_marker("slow")
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Start every test from the same random state, alone or in any order."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _own_attention_backend() -> Iterator[None]:
    """What one test sets for its model is, in diffusers, set for every model made afterwards."""
    yield
    # A test that does not use diffusers does not wait for its import.
    if dispatch := sys.modules.get("diffusers.models.attention_dispatch"):
        backend = dispatch.AttentionBackendName(dispatch.DIFFUSERS_ATTN_BACKEND)
        dispatch._AttentionBackendRegistry.set_active_backend(backend)


@pytest.fixture
def poisoned_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fill fresh float buffers with NaN, so that a kernel that forgets to write one is caught."""

    def poison(allocate: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        def allocated(*args, **kwargs) -> torch.Tensor:
            tensor = allocate(*args, **kwargs)
            return tensor.fill_(float("nan")) if tensor.is_floating_point() else tensor

        return allocated

    for owner, name in UNINITIALISED:
        monkeypatch.setattr(owner, name, poison(getattr(owner, name)))


@pytest.fixture
def only_eager(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine on which neither the Triton nor the C++ implementation is installed."""
    # Imported here, when Triton has been told to interpret.
    from numina_kernels import impl as impls

    there = (impls.Impl.EAGER, impls.Impl.REFERENCE)
    monkeypatch.setattr(impls, "is_installed", lambda impl: impl in there)
    impls._default.cache_clear()
    yield
    impls._default.cache_clear()


@pytest.fixture(scope="session")
def tiny_wan() -> "Callable[..., WanPipeline]":
    """Factory of tiny Wan pipelines; see ``tiny_wan.py``, which also has the arguments of a run."""
    # Imported here: diffusers takes seconds, and the tests of the kernels need none of it.
    from tiny_wan import tiny_wan

    return tiny_wan
