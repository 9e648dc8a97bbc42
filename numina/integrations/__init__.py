"""Adapters between the method and the transformers of diffusers."""

from torch import nn

from numina.errors import UnsupportedModelError
from numina.integrations.cogvideox import ADAPTERS as _COGVIDEOX_ADAPTERS
from numina.integrations.noise import NoiseScale, noise_scale
from numina.integrations.seam import Adapter, Clock, Site, attached
from numina.integrations.wan import ADAPTERS as _WAN_ADAPTERS

__all__ = [
    "Adapter",
    "Clock",
    "NoiseScale",
    "Site",
    "adapter_for",
    "attached",
    "noise_scale",
]

_ADAPTERS: dict[type[nn.Module], type[Adapter]] = {**_WAN_ADAPTERS, **_COGVIDEOX_ADAPTERS}


def adapter_for(transformer: nn.Module) -> Adapter:
    """The adapter of a transformer's family.

    Raises:
        UnsupportedModelError: If there is none for this class.
    """
    adapter = _ADAPTERS.get(type(transformer))
    if adapter is None:
        known = ", ".join(sorted(family.__name__ for family in _ADAPTERS))
        raise UnsupportedModelError(
            f"numina has no adapter for {type(transformer).__name__} (known: {known}); write one "
            "by giving the methods of numina.integrations.Adapter for it and pass it to "
            "numina.integrations.attached, see DESIGN.md, section 'A new model'"
        )
    return adapter()
