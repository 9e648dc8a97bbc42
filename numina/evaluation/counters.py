"""Who counts: the protocol of all counters, and the exact one of the sprites world."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from numina.evaluation.failure import EvaluationError
from numina.sprites.counter import count_sprites
from numina.sprites.world import CATEGORIES


class Counter(Protocol):
    """Counts named things in the frames of a clip. It must be picklable before it is prepared."""

    def describe(self) -> dict[str, Any]:
        """All that its counts depend on, as plain JSON values."""
        ...

    def prepare(self) -> None:
        """Get ready to count; called once in every process, before anything is generated.

        Raises:
            EvaluationError: If it cannot count here.
        """
        ...

    def count(self, frames: NDArray[np.float32], nouns: Sequence[str]) -> NDArray[np.int64]:
        """Instances of every noun in every frame, ``[G, F]``.

        Args:
            frames: ``[F, Y, X, 3]`` in 0..1.
            nouns: What to count, ``G`` noun phrases.

        Raises:
            EvaluationError: If the clip is broken or a noun cannot be counted, never a zero.
        """
        ...


@dataclass(frozen=True)
class SpritesCounter:
    """Exact in the sprites world, and only there: connected parts of each noun's colour."""

    def describe(self) -> dict[str, Any]:
        return {"name": "exact"}

    def prepare(self) -> None:
        pass

    def count(self, frames: NDArray[np.float32], nouns: Sequence[str]) -> NDArray[np.int64]:
        refuse_broken(frames)
        if unknown := sorted(set(nouns) - set(CATEGORIES)):
            raise EvaluationError(
                f"the exact counter knows {', '.join(CATEGORIES)}, got {', '.join(unknown)}; "
                "choose another counter"
            )
        found = count_sprites(frames)
        return np.stack([found[noun] for noun in nouns])


def refuse_broken(frames: Any) -> None:
    """Refuse what is no clip.

    Raises:
        EvaluationError: If ``frames`` is missing, empty, of another shape, or not finite.
    """
    if not isinstance(frames, np.ndarray):
        raise EvaluationError(f"a clip must be an array [F, Y, X, 3], got {type(frames).__name__}")
    if frames.ndim != 4 or frames.shape[-1] != 3 or not frames.size:
        raise EvaluationError(f"a clip must be [F, Y, X, 3], got {frames.shape}")
    if not np.isfinite(frames).all():
        raise EvaluationError("the clip has pixels that are not finite")


def pictures(frames: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The frames as pictures for a network, ``[F, Y, X, 3]`` in 0..255.

    Raises:
        EvaluationError: If the clip is broken, or not in 0..1 but for rounding.
    """
    refuse_broken(frames)
    low, high = float(frames.min()), float(frames.max())
    if low < -1e-3 or high > 1 + 1e-3:
        raise EvaluationError(f"a clip must be in 0..1, got values from {low:g} to {high:g}")
    return np.round(np.clip(frames, 0, 1) * 255).astype(np.uint8)
