"""Runs of a tiny pipeline, alone and through the seam."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from numina.attend import Attend, Watch
from numina.integrations import Clock, Site, adapter_for, attached, noise_scale
from tests.tiny_wan import run_kwargs


def stock_attend(query, key, value, moment, stock):
    """What the model would have done."""
    return stock(query, key, value)


def processors(pipe: Any) -> dict[str, int]:
    """Which object attends where."""
    return {name: id(processor) for name, processor in pipe.transformer.attn_processors.items()}


def latents(pipe: Any, **changes: Any) -> Tensor:
    """The latents of a short run."""
    frames: Tensor = pipe(**run_kwargs(output_type="latent", **changes)).frames
    return frames


def through_seam(
    pipe: Any, attends: Mapping[Site, Attend], watch: Watch | None = None, **changes: Any
) -> tuple[Tensor, Clock]:
    """The latents of the same run with attention functions attached, and the clock it ran by."""
    transformer, scale = pipe.transformer, noise_scale(pipe.scheduler)
    adapter = adapter_for(transformer)
    with attached(transformer, attends, adapter, watch, noise_scale=scale) as clock:
        frames = latents(pipe, **changes)
    return frames, clock
