"""The seam between models and the method: who attends, and when."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from torch import Tensor

from numina.share import AllPatches, Share
from numina.video import VideoGrid
from numina_kernels.joint_sequence import JointSequence

# "both" is one forward pass that holds the unconditional rows first, then as many conditional ones.
# "perturbed" and "isolated" are conditional passes for comparison: some layers do not attend, or
# the video sees nothing beside itself and the text.
Branch = Literal["cond", "uncond", "both", "perturbed", "isolated"]


def conditional(branch: Branch, batch: Tensor) -> Tensor:
    """The conditional rows of what a forward pass of ``branch`` holds."""
    return batch[len(batch) // 2 :] if branch == "both" else batch


def is_undisturbed(branch: Branch) -> bool:
    """Whether a forward pass holds the conditional rows as the prompt alone asks for them.

    There is one such pass in a step, and it is the first one that holds them.
    """
    return branch in ("cond", "both")


def num_branches(branch: Branch) -> int:
    """How many guidance branches one forward pass of ``branch`` computes."""
    return 2 if branch == "both" else 1


@dataclass(frozen=True)
class Moment:
    """Where the denoising loop stands when a layer attends.

    Attributes:
        step: Denoising step, 0-based; not the scheduler's timestep.
        noise: Noise level (the flow-matching sigma) of the step, 1 at pure noise, 0 at the end.
        branch: Guidance pass: ``"cond"``, ``"uncond"``, ``"both"`` at once, ``"perturbed"`` or
            ``"isolated"``.
        layer: Index of the transformer block.
        grid: Patches of the video that attends.
        joint: Where text and video stand in the one sequence of a joint attention; None where
            self- and cross-attention are layers of their own.
        key_offset: The model's own mask as added to the scores of each key, ``[B, K]`` float32: 0
            or -inf, or what the model adds. None where it masks nothing.
        share: The patches of ``grid`` that this process attends from: all of them, but where the
            transformer is split over ranks.
    """

    step: int
    noise: float
    branch: Branch
    layer: int
    grid: VideoGrid
    joint: JointSequence | None = None
    key_offset: Tensor | None = None
    share: Share = AllPatches()


@dataclass(frozen=True)
class Prediction:
    """What one forward pass of the transformer was given and what it returned, as a flow.

    Whatever the model predicts, ``latents = (1 - noise) * clean + noise * gaussian`` and
    ``velocity`` is its estimate of ``gaussian - clean``.

    Attributes:
        step: Denoising step, 0-based.
        noise: Noise level of the step.
        branch: Guidance pass.
        latents: Noisy latents, ``[B, C, F, y, x]``, the frames being those of the grid.
        velocity: Predicted flow, same shape.
    """

    step: int
    noise: float
    branch: Branch
    latents: Tensor
    velocity: Tensor


# Sees every forward pass; may return by how much its velocity shall change, in the same shape.
Watch = Callable[[Prediction], Tensor | None]


class Clock(Protocol):
    """Tells the layers of a running transformer the moment at which they attend."""

    def now(
        self, layer: int, joint: JointSequence | None = None, key_offset: Tensor | None = None
    ) -> Moment: ...


class Attention(Protocol):
    """The attention that the model itself would have computed; ``[B, S, H, D]`` everywhere.

    May be called on the first rows of the batch alone: those that are not guided.
    """

    def __call__(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor: ...


class Attend(Protocol):
    """An attention function of ours at one layer.

    Gets ``query``, ``key``, ``value`` after normalisation and rotary embedding, the moment, and
    the model's own attention; returns the output ``[B, Q, H, D]``. The moment says which rows of
    the batch are conditional, which tokens are the video's where text and video attend jointly, and
    which patches these are where a video is split over ranks.
    """

    def __call__(
        self, query: Tensor, key: Tensor, value: Tensor, moment: Moment, stock: Attention
    ) -> Tensor: ...
