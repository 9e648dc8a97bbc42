"""Take removed instances out of every prediction of the clean latent."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from numina.attend import Prediction
from numina.guidance.harmonic_fill import harmonic_fill
from numina.layout import LayoutEdit


@dataclass(frozen=True)
class ErasureSpec:
    """How removed instances are erased.

    Attributes:
        margin: What is erased around an instance, in patches, because its edge is blurred.
    """

    margin: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.margin < math.inf:
            raise ValueError(f"margin must be finite and not negative, got {self.margin}")


class Erasure:
    """Lets the scenery around a removed instance close over it, for as long as guidance lasts.

    An instance that has begun to form is drawn on, whatever its patches attend to: the noisy
    latent tells of it. So where instances were removed, the clean latent that the model predicts,
    ``x0 = x - s v``, is replaced by what is seen around them (``harmonic_fill``): the velocity
    changes by ``(x0 - fill(x0)) / s``. The fill is linear, so both branches of classifier-free
    guidance can have it apart and their combination has it too, at any scale. This is not in the
    paper (arXiv 2604.08546), whose guidance is attention alone.

    What was removed stays so until an instance is placed there: no later look sees it any more.

    Args:
        spec: Settings; None erases nothing.
        strength: Strength at a prediction, 0 to 1: the share of the instance that is taken out.
    """

    def __init__(self, spec: ErasureSpec | None, strength: Callable[[Prediction], float]) -> None:
        self._spec = spec
        self._strength_at = strength
        self._removed: NDArray[np.bool_] | None = None  # [B, F, Y, X]
        self._occupied: NDArray[np.bool_] | None = None
        self._hole: _Hole | None = None

    def remove(self, edits: Sequence[LayoutEdit | None]) -> None:
        """Erase what the edits leave empty, one for each video; None leaves a video as it was.

        That is where instances are removed, and where kept ones move away.

        Args:
            edits: Over one grid, that of earlier calls.
        """
        if self._spec is None or not any(edits):
            return
        shape = next(edit.after.labels.shape for edit in edits if edit is not None)
        if self._removed is None or self._occupied is None:
            self._removed = np.zeros((len(edits), *shape), np.bool_)
            self._occupied = np.zeros_like(self._removed)
        for row, edit in enumerate(edits):
            if edit is not None:
                self._occupied[row] = edit.after.labels > 0
                self._removed[row] |= edit.seen.labels > 0
                self._removed[row] &= ~self._occupied[row]
        self._hole = None

    def __call__(self, prediction: Prediction) -> Tensor | None:
        """The change of a predicted velocity, ``[B, C, F, y, x]``; None where nothing is due."""
        if self._spec is None or self._removed is None or not self._removed.any():
            return None
        strength = self._strength_at(prediction)
        if strength == 0:
            return None
        if self._hole is None:
            assert self._occupied is not None, "both are known after the first removal"
            latents = prediction.latents
            side = latents.shape[-2] // self._removed.shape[-2]
            margin = math.ceil(self._spec.margin * side)
            self._hole = _hole(self._removed, self._occupied, latents, margin)
        hole = self._hole.of_rows(len(prediction.latents))
        latents, velocity = prediction.latents.float(), prediction.velocity.float()
        clean = latents - prediction.noise * velocity
        filled = harmonic_fill(clean, hole.hidden, hole.iterations)
        change = (clean - filled) * (strength / prediction.noise)
        return torch.where(hole.erased, change, 0.0)


@dataclass(frozen=True, eq=False)
class _Hole:
    """What is erased, in latents.

    Attributes:
        erased: ``[B, 1, F, y, x]`` bool.
        hidden: The same with all instances: the scenery behind them is not seen.
        iterations: What the widest hole needs to be filled.
    """

    erased: Tensor
    hidden: Tensor
    iterations: int

    def of_rows(self, rows: int) -> "_Hole":
        """Of a forward pass with as many rows, where each branch has one for each video."""
        branches = rows // len(self.erased)
        return _Hole(
            self.erased.repeat(branches, 1, 1, 1, 1),
            self.hidden.repeat(branches, 1, 1, 1, 1),
            self.iterations,
        )


def _hole(
    removed: NDArray[np.bool_], occupied: NDArray[np.bool_], latents: Tensor, margin: int
) -> _Hole:
    """Bring patches ``[B, F, Y, X]`` to the latents, with the margin around what is removed."""
    rows = latents.shape[-2] // removed.shape[-2]
    columns = latents.shape[-1] // removed.shape[-1]
    taken = occupied.repeat(rows, axis=-2).repeat(columns, axis=-1)
    erased = removed.repeat(rows, axis=-2).repeat(columns, axis=-1)
    square = np.ones((1, 1, 2 * margin + 1, 2 * margin + 1), np.bool_)
    erased = ndimage.binary_dilation(erased, square) & ~taken
    hidden = erased | taken
    # Half way across a hole, the distance to what is seen is half its width.
    frames = hidden.reshape(-1, *hidden.shape[-2:])
    deepest = max(int(ndimage.distance_transform_cdt(frame).max()) for frame in frames)
    return _Hole(
        torch.from_numpy(erased[:, None]).to(latents.device),
        torch.from_numpy(hidden[:, None]).to(latents.device),
        iterations=4 * deepest,
    )
