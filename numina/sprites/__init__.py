"""Sprites: a small world with exact truth, and a tiny Wan pipeline trained on it."""

from numina.sprites.counter import category_of, count_phrase, count_sprites, instance_masks
from numina.sprites.world import (
    CATEGORIES,
    Scene,
    caption_for,
    prompt_for,
    render,
    sample_scene,
)

__all__ = [
    "CATEGORIES",
    "Scene",
    "caption_for",
    "category_of",
    "count_phrase",
    "count_sprites",
    "instance_masks",
    "prompt_for",
    "render",
    "sample_scene",
]
