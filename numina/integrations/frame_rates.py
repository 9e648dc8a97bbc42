"""How many frames a second the videos of each family of pipelines are meant to have."""

import inspect
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

# As published with the models: what they were trained on, or what their own scripts write.
_OF_OTHERS = 16
_RATES: Mapping[str, int] = MappingProxyType(
    {
        "Wan": 16,
        "CogVideoX": 8,
        "HunyuanVideo": 24,
        "SkyReelsV2": 24,
        "Kandinsky5": 24,
        "Cosmos2": 16,
        "Mochi": 30,
        "Allegro": 15,
    }
)
_WAN_22_5B, _COGVIDEOX_15 = 24, 16


def frame_rate(pipe: Any) -> int:
    """Frames a second of what a pipeline makes, where nobody asks for another number.

    Pipelines that tell their model the rate (LTX, Cosmos 1.0) have a default of their own.

    Args:
        pipe: A diffusers pipeline; 16 for one that is not known.
    """
    arguments = inspect.signature(pipe.__call__).parameters
    for name in ("frame_rate", "fps"):
        if name in arguments:
            return round(arguments[name].default)
    # Somebody's own pipeline is of the family that it was derived from.
    names = [kind.__name__ for kind in type(pipe).__mro__]
    for family, rate in _RATES.items():
        if any(name.startswith(family) for name in names):
            return _of_variant(pipe, family) or rate
    return _OF_OTHERS


def _of_variant(pipe: Any, family: str) -> int | None:
    """The rate of a model that differs from others of its family."""
    if family == "Wan" and pipe.config.get("expand_timesteps"):
        return _WAN_22_5B
    if family == "CogVideoX" and pipe.transformer.config.patch_size_t is not None:
        return _COGVIDEOX_15
    return None
