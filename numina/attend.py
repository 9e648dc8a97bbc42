"""The seam between models and the method: who attends, and when."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from torch import Tensor

from numina.video import VideoGrid

Branch = Literal["cond", "uncond"]


@dataclass(frozen=True)
class Moment:
    """Where the denoising loop stands when a layer attends.

    Attributes:
        step: Denoising step, 0-based; not the scheduler's timestep.
        noise: Noise level (the flow-matching sigma) of the step, 1 at pure noise, 0 at the end.
        branch: Guidance pass, ``"cond"`` or ``"uncond"``.
        layer: Index of the transformer block.
        grid: Patches of the video that attends.
    """

    step: int
    noise: float
    branch: Branch
    layer: int
    grid: VideoGrid


@dataclass(frozen=True)
class Prediction:
    """What one forward pass of the transformer was given and what it returned.

    Attributes:
        step: Denoising step, 0-based.
        noise: Noise level of the step.
        branch: Guidance pass.
        latents: Noisy latents, ``[B, C, F, y, x]``.
        velocity: Predicted flow, same shape.
    """

    step: int
    noise: float
    branch: Branch
    latents: Tensor
    velocity: Tensor


Watch = Callable[[Prediction], None]


class Attention(Protocol):
    """The attention that the model itself would have computed; ``[B, S, H, D]`` everywhere."""

    def __call__(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor: ...


class Attend(Protocol):
    """An attention function of ours at one layer.

    Gets ``query``, ``key``, ``value`` after normalisation and rotary embedding, the moment, and
    the model's own attention; returns the output ``[B, Q, H, D]``.
    """

    def __call__(
        self, query: Tensor, key: Tensor, value: Tensor, moment: Moment, stock: Attention
    ) -> Tensor: ...
