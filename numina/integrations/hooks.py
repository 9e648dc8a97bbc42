"""The hooks of diffusers on the parts of a transformer."""

from collections.abc import Iterator
from typing import Any

from torch import nn


def hook_registries(transformer: nn.Module) -> Iterator[Any]:
    """Where diffusers keeps the hooks of each part."""
    for module in transformer.modules():
        registry = getattr(module, "_diffusers_hook", None)
        if registry is not None:
            yield registry


def hooks_of(transformer: nn.Module) -> Iterator[Any]:
    """Every hook of every part."""
    for registry in hook_registries(transformer):
        yield from registry.hooks.values()
