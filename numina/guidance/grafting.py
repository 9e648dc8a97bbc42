"""Graft the likeness of an instance wherever another of its kind is added."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from numina.attend import Prediction
from numina.layout import LayoutEdit

# Sides that differ by less are the same: a footprint is known to a patch only.
SAME_SIZE = 0.15


@dataclass(frozen=True)
class GraftSpec:
    """How added instances are grafted.

    Attributes:
        margin: What is copied around an instance, in patches, because its edge is blurred.
        until: Noise level of the last step at which there is grafting, 0..1. Below it, what has
            taken is left to grow on its own.
    """

    margin: float = 0.5
    until: float = 0.7

    def __post_init__(self) -> None:
        if not 0 <= self.margin < math.inf:
            raise ValueError(f"margin must be finite and not negative, got {self.margin}")
        if not 0 <= self.until <= 1:
            raise ValueError(f"until must be a noise level in 0..1, got {self.until}")


class Grafting:
    """Lets an added instance begin as the likeness of another one of its noun.

    Attention alone has to call an instance forth from noise that would have become scenery. So
    where one is added, the clean latent that the model predicts, ``x0 = x - s v``, is replaced by
    what it predicts of the other one at that very step: the velocity changes by
    ``(x0 - x0[other]) / s``. The other one is that whose shape was copied, or else the kept one of
    median size; where none of the noun is kept, nothing is grafted. A copy is linear, so both
    branches of classifier-free guidance can have it apart and their combination has it too, at any
    scale. The noise around it is the place's own, and so is all that is drawn once grafting ends.
    This is not in the paper (arXiv 2604.08546), whose guidance is attention alone.

    Args:
        spec: Settings; None grafts nothing.
        strength: Strength at a prediction, 0 to 1: the share of the likeness that is copied.
    """

    def __init__(self, spec: GraftSpec | None, strength: Callable[[Prediction], float]) -> None:
        self._spec = spec
        self._strength_at = strength
        self._edits: list[LayoutEdit | None] = []
        self._copy: _Copy | None = None

    def add(self, edits: Sequence[LayoutEdit | None]) -> None:
        """Graft what the edits add, one for each video; None leaves a video as it was.

        Args:
            edits: Over one grid, that of earlier calls.
        """
        earlier = self._edits or [None] * len(edits)
        self._edits = [new or old for new, old in zip(edits, earlier, strict=True)]
        self._copy = None

    def __call__(self, prediction: Prediction) -> Tensor | None:
        """The change of a predicted velocity, ``[B, C, F, y, x]``; None where nothing is due."""
        if self._spec is None or prediction.noise < self._spec.until:
            return None
        if not any(edit is not None and edit.added for edit in self._edits):
            return None
        strength = self._strength_at(prediction)
        if strength == 0:
            return None
        latents, velocity = prediction.latents.float(), prediction.velocity.float()
        if self._copy is None:
            self._copy = _copy(self._edits, latents, self._spec.margin)
        if self._copy.is_empty:
            return None
        copy = self._copy.of_rows(len(latents))
        clean = (latents - prediction.noise * velocity).flatten(2)
        template = clean.gather(2, copy.source.expand(clean.shape))
        change = (clean - template) * (strength / prediction.noise)
        return torch.where(copy.grafted, change, 0.0).view_as(latents)


@dataclass(frozen=True, eq=False)
class _Copy:
    """What is copied, in latents.

    Attributes:
        grafted: ``[B, 1, F * y * x]`` bool.
        source: From where, indices into ``F * y * x``, the same shape, int64.
        is_empty: Whether that is nothing at all; known on the host.
    """

    grafted: Tensor
    source: Tensor
    is_empty: bool

    def of_rows(self, rows: int) -> "_Copy":
        """Of a forward pass with as many rows, where each branch has one for each video."""
        branches = rows // len(self.grafted)
        grafted, source = (each.repeat(branches, 1, 1) for each in (self.grafted, self.source))
        return replace(self, grafted=grafted, source=source)


def _copy(edits: Sequence[LayoutEdit | None], latents: Tensor, margin: float) -> _Copy:
    frames, height, width = latents.shape[-3:]
    here = np.arange(frames * height * width).reshape(frames, height, width)
    sources = np.stack([here] * len(edits))
    for source, edit in zip(sources, edits, strict=True):
        if edit is None:
            continue
        sides = (height // edit.after.labels.shape[-2], width // edit.after.labels.shape[-1])
        # A template that is to move is not yet where it shall be, and no longer where it was.
        still = np.where(edit.before.labels == edit.after.labels, edit.after.labels, np.int16(0))
        after, still = (
            each.repeat(sides[0], axis=-2).repeat(sides[1], axis=-1)
            for each in (edit.after.labels, still)
        )
        reach = np.ones([2 * math.ceil(margin * side) + 1 for side in sides], np.bool_)
        for label, template in zip(edit.added, edit.templates, strict=True):
            model = _median_sized(edit, still, label) if template is None else template
            if model is not None:
                _trace(source, after, label, still == model, reach)
    flat = sources.reshape(len(edits), 1, -1)
    grafted = flat != here.reshape(1, 1, -1)
    return _Copy(
        torch.from_numpy(grafted).to(latents.device),
        torch.from_numpy(flat).to(latents.device),
        is_empty=not grafted.any(),
    )


def _median_sized(edit: LayoutEdit, still: NDArray[np.int16], label: int) -> int | None:
    """The kept instance of median size of an added one's noun; None where none is kept."""
    own = edit.before.instances(edit.after.nouns[label - 1])
    sizes = {each: int((still == each).sum()) for each in own}
    ranked = sorted((each for each in own if sizes[each]), key=lambda each: (sizes[each], each))
    return ranked[(len(ranked) - 1) // 2] if ranked else None


def _trace(
    source: NDArray[np.int64],
    labels: NDArray[np.int16],
    label: int,
    template: NDArray[np.bool_],
    reach: NDArray[np.bool_],
) -> None:
    """Write where each latent of an added instance is copied from, ``[F, y, x]``."""
    shown = _typical_frames(template)
    if not len(shown):
        return
    for frame in np.flatnonzero((labels == label).any((1, 2))):
        own = labels[frame] == label
        origin = int(shown[np.abs(shown - frame).argmin()])
        model = template[origin]
        scale = math.sqrt(own.sum() / model.sum())
        if abs(scale - 1) < SAME_SIZE:
            scale = 1.0
        # Neither does a neighbour come along, nor is one painted over.
        visible = ndimage.binary_dilation(model, reach) & ((labels[origin] == 0) | model)
        target = ndimage.binary_dilation(own, reach) & ((labels[frame] == 0) | own)
        points = np.argwhere(target)
        from_centre = (points - np.argwhere(own).mean(0)) / scale
        origins = np.rint(np.argwhere(model).mean(0) + from_centre).astype(np.int64)
        inside = ((origins >= 0) & (origins < model.shape)).all(1)
        points, origins = points[inside], origins[inside]
        seen = visible[tuple(origins.T)]
        points, origins = points[seen], origins[seen]
        height, width = model.shape
        source[frame][tuple(points.T)] = (origin * height + origins[:, 0]) * width + origins[:, 1]


def _typical_frames(masks: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Frames that show an instance about as large as most of them do; the border may cut others."""
    sides = np.sqrt(masks.sum((1, 2)))
    shown = np.flatnonzero(sides)
    if not len(shown):
        return shown
    return shown[sides[shown] >= (1 - SAME_SIZE) * np.median(sides[shown])]
