"""One video from a seed: noise that anyone can draw again from a number."""

from collections.abc import Mapping
from typing import Any

import torch

from numina.errors import PromptError

# Noise that a seed does not tell.
_NOISE = ("generator", "latents")


def seeded(seed: int) -> torch.Generator:
    """The generator of a seed. On the CPU, so that the noise is the same for every device."""
    return torch.Generator("cpu").manual_seed(seed)


def require_one_prompt(prompt: Any) -> None:
    """Refuse a batch.

    Raises:
        PromptError: If ``prompt`` is not one text.
    """
    if not isinstance(prompt, str):
        raise PromptError(f"prompt must be one text, got {prompt!r}; take several one by one")


def require_seeded(call: Mapping[str, Any], instead: str) -> None:
    """Refuse a pipeline call that brings its own noise, or asks for several videos.

    Args:
        call: Its keyword arguments.
        instead: The argument that tells the noise.

    Raises:
        ValueError: Naming the argument.
    """
    for name in _NOISE:
        if call.get(name) is not None:
            raise ValueError(
                f"{name} must not be given, because a seed tells the noise; pass {instead} instead"
            )
    videos = call.get("num_videos_per_prompt", 1)
    if videos != 1:
        raise ValueError(f"num_videos_per_prompt must be 1, got {videos!r}; one video a seed")
