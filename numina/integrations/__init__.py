"""Adapters between the method and the transformers of diffusers."""

from numina.integrations.adapter import Adapter, ForwardPass, Site
from numina.integrations.caches import empty_caches
from numina.integrations.clock import LoopClock
from numina.integrations.noise import NoiseScale, noise_scale
from numina.integrations.parallelism import is_split
from numina.integrations.registry import adapter_for
from numina.integrations.seam import attached

__all__ = [
    "Adapter",
    "ForwardPass",
    "LoopClock",
    "NoiseScale",
    "Site",
    "adapter_for",
    "attached",
    "empty_caches",
    "is_split",
    "noise_scale",
]
