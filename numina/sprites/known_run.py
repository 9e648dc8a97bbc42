"""Runs of the pipeline that pass through a known clip: ``x_t = (1 - t) x_0 + t e`` at every level.

What the model predicts and attends to at a noise level can so be asked of any clip, whether or not
the model would have drawn it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKLWan, FlowMatchEulerDiscreteScheduler, WanPipeline
from numpy.typing import NDArray
from torch import Tensor

from numina.sprites.autoencoder import encode
from numina.sprites.model import load


class GivenLevels(FlowMatchEulerDiscreteScheduler):
    """A schedule of given noise levels, whatever number of steps it is asked for.

    Attributes:
        levels: Falling noise levels.
    """

    levels: tuple[float, ...] = (1.0,)

    def set_timesteps(self, num_inference_steps: Any = None, device: Any = None) -> None:
        single = np.array(self.levels, np.float32)
        # A step is found by a level that it does not exceed, by rounding neither.
        below = np.nextafter(single, np.float32(0))
        sigmas = np.where(single > np.array(self.levels), below, single)
        super().set_timesteps(sigmas=sigmas, device=device)


def load_with_levels(levels: Sequence[float], folder: Path) -> WanPipeline:
    """The pipeline of a folder, in single precision, with a step at each of some noise levels.

    A run may not be looked at in its last step, so a step of no use comes after them.

    Raises:
        ValueError: If the levels do not fall, or do not lie between 0 and 1.
    """
    if not levels or any(one <= other for one, other in pairwise((1.0, *levels, 0.0))):
        raise ValueError(f"levels must fall and lie between 0 and 1, got {tuple(levels)}")
    pipe = load(torch.float32, folder)
    pipe.scheduler = GivenLevels(shift=1.0)
    pipe.scheduler.levels = (*levels, 0.5 * levels[-1])
    return pipe


def passing_through(
    clip: NDArray[np.uint8], levels: Sequence[float], folder: Path, generator: torch.Generator
) -> dict[str, Any]:
    """Arguments of a pipeline's call that put a clip in the place of what the pipeline draws.

    Latents are those of the clip at each of the levels. After the last one the run is over, and
    the clip's own latents are decoded. The noise is the same at every level.

    Args:
        clip: ``[F, Y, X, 3]`` uint8.
        levels: Those that the pipeline was loaded with.
        folder: Of the pipeline; its autoencoder reads the clip.
        generator: Draws the noise.
    """
    clean = encode(_autoencoder(folder), clip[None])
    noise = torch.randn(clean.shape, generator=generator)

    def at(level: float) -> Tensor:
        return (1 - level) * clean + level * noise

    def replace(pipe: Any, step: int, _: Any, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        if step + 1 < len(levels):
            return {"latents": at(levels[step + 1])}
        # The pipeline's own way to stop: what is left of its steps is passed over.
        pipe._interrupt = True
        return {"latents": clean}

    return {"latents": at(levels[0]), "callback_on_step_end": replace}


@lru_cache(maxsize=1)
def _autoencoder(folder: Path) -> AutoencoderKLWan:
    return AutoencoderKLWan.from_pretrained(str(folder / "vae"), local_files_only=True).eval()
