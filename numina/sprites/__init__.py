"""Sprites: a small world with exact truth, and a tiny Wan pipeline trained on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from numina.sprites.counter import category_of, count_phrase, count_sprites, instance_masks
from numina.sprites.settings import DEFAULTS, CallSettings
from numina.sprites.world import (
    CATEGORIES,
    Scene,
    caption_for,
    prompt_for,
    render,
    sample_scene,
)

if TYPE_CHECKING:
    from numina.sprites.model import load

__all__ = [
    "CATEGORIES",
    "DEFAULTS",
    "CallSettings",
    "Scene",
    "caption_for",
    "category_of",
    "count_phrase",
    "count_sprites",
    "instance_masks",
    "load",
    "prompt_for",
    "render",
    "sample_scene",
]


def __getattr__(name: str) -> Any:
    # The world and the counter need numpy alone; diffusers takes seconds to import.
    if name == "load":
        from numina.sprites.model import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
