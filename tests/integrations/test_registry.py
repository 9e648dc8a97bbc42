"""Adapters that other packages bring."""

import re
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest
from torch import nn

from numina.errors import UnsupportedModelError
from numina.integrations import Adapter, adapter_for, registry
from numina.integrations.wan import WanAdapter
from tests.tiny_wan import tiny_transformer


class ForeignTransformer(nn.Module):
    """A transformer that numina does not know."""


class ForeignAdapter(WanAdapter):
    """What a package brings for it."""


class HalfAnAdapter:
    """Can tell how many layers there are, and no more."""

    def num_layers(self, transformer: nn.Module) -> int:
        return 0


class Unfinished(Adapter):
    """Subclasses the protocol for what most pipelines do, and leaves out what they cannot know."""

    def num_layers(self, transformer: nn.Module) -> int:
        return 0


FAMILY = f"{ForeignTransformer.__module__}.ForeignTransformer"


@pytest.fixture
def declare(monkeypatch):
    """Declares adapters as installed packages would: pairs of a family and an adapter."""

    def declare(*pairs):
        declared = EntryPoints(EntryPoint(*pair, registry.ENTRY_POINTS) for pair in pairs)
        monkeypatch.setattr(registry, "entry_points", declared.select)

    return declare


def test_a_declared_adapter_serves_its_family(declare):
    declare(("other.Family", "nowhere:Adapter"), (FAMILY, f"{__name__}:ForeignAdapter"))
    assert type(adapter_for(ForeignTransformer())) is ForeignAdapter


def test_our_own_adapters_come_first(declare):
    wan = tiny_transformer()
    declare((f"{type(wan).__module__}.{type(wan).__qualname__}", f"{__name__}:ForeignAdapter"))
    assert type(adapter_for(wan)) is WanAdapter


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], "no adapter for ForeignTransformer .*entry point 'numina.adapters', see docs/write"),
        (["nowhere:Adapter"], "nowhere:Adapter, .*cannot be imported .*No module named 'nowhere'"),
        ([f"{__name__}:Absent"], ":Absent, .*cannot be imported .*no attribute 'Absent'"),
        (
            [f"{__name__}:HalfAnAdapter"],
            "HalfAnAdapter, .* lacks module, head_shape, .*processor;",
        ),
        ([f"{__name__}:Unfinished"], "Unfinished, .* lacks module, grid, processor;"),
        (["a:A", "b:B"], "a:A and b:B are both declared"),
    ],
    ids=["none", "no module", "no class", "half", "unfinished", "two"],
)
def test_what_cannot_be_used_is_refused_by_name(declare, values, message):
    declare(*((FAMILY, value) for value in values))
    with pytest.raises(UnsupportedModelError, match=message):
        adapter_for(ForeignTransformer())


def test_a_transformer_without_adapter_is_pointed_to_a_page_that_is_there(declare):
    declare()
    with pytest.raises(UnsupportedModelError) as refusal:
        adapter_for(ForeignTransformer())
    (page,) = re.findall(r"see (\S+\.md) in numina's repository$", str(refusal.value))
    assert (Path(__file__).parents[2] / page).is_file()


def test_one_adapter_declared_twice_is_one(declare):
    declare(*[(FAMILY, f"{__name__}:ForeignAdapter")] * 2)
    assert type(adapter_for(ForeignTransformer())) is ForeignAdapter
