"""Suites: numbered cases of prompt, targets and noise, and how to judge a clip."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from numina.evaluation.failure import EvaluationError
from numina.sprites.counter import count_sprites, instance_masks
from numina.sprites.world import prompt_for

# Prompts of these seeds are for choosing settings; figures are reported on others.
TUNING_SEEDS = range(100_000)
REPORTING_SEED = 100_000


@dataclass(frozen=True)
class Case:
    """One prompt of a suite.

    Attributes:
        seed: Decides the prompt and the noise, alone.
        prompt: The prompt.
        nouns: What to count, in the order of the prompt.
        targets: The count asked for, per noun.
    """

    seed: int
    prompt: str
    nouns: tuple[str, ...]
    targets: tuple[int, ...]


class Suite(Protocol):
    """A set of prompts with a pipeline to run them and a judge of what comes out."""

    @property
    def name(self) -> str: ...

    def describe(self) -> dict[str, Any]:
        """All that the results depend on beside the methods, as plain JSON values."""
        ...

    def case(self, index: int) -> Case: ...

    def load(self) -> Any:
        """The pipeline; called once in every process."""
        ...

    def call(self, case: Case, attempt: int = 0) -> dict[str, Any]:
        """Keyword arguments of the pipeline call beside the prompt; fresh noise per attempt."""
        ...

    def count(self, frames: NDArray[np.float32], case: Case) -> NDArray[np.int64]:
        """Instances of every noun in every frame, ``[G, F]``.

        Raises:
            EvaluationError: If the clip is broken; a clip that cannot be counted has no count.
        """
        ...

    def masks(self, frames: NDArray[np.float32], case: Case) -> list[NDArray[np.int32]]:
        """Exact masks of every noun, ``[F, Y, X]`` each: 0 for none, then 1, 2, … per frame."""
        ...


@dataclass(frozen=True)
class SpritesSuite:
    """The sprites world: its captions, its tiny pipeline, its exact counter.

    Attributes:
        seed: Seed of the first case; case ``i`` has ``seed + i``.
        folder: Folder of the pipeline; None for the shipped one.
        settings: Arguments of the pipeline call that differ from the shipped defaults.
    """

    seed: int = REPORTING_SEED
    folder: Path | None = None
    settings: tuple[tuple[str, Any], ...] = ()

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"seed must be 0 or more, got {self.seed}")

    @property
    def name(self) -> str:
        return "sprites"

    def describe(self) -> dict[str, Any]:
        from numina.evaluation.provenance import folder_hash

        return {
            "suite": self.name,
            "seed": self.seed,
            "call": self._arguments(),
            "dtype": "float32",
            "model_sha256": folder_hash(self._folder()),
        }

    def case(self, index: int) -> Case:
        scene = prompt_for(self.seed + index)
        nouns, targets = zip(*scene.groups, strict=True)
        return Case(self.seed + index, scene.caption, nouns, targets)

    def load(self) -> Any:
        from numina.sprites.model import load

        return load(torch.float32, self._folder())

    def call(self, case: Case, attempt: int = 0) -> dict[str, Any]:
        # Seeds of further attempts lie far above those of any case.
        noise = torch.Generator().manual_seed(case.seed + attempt * 2**32)
        return {**self._arguments(), "generator": noise, "output_type": "np"}

    def count(self, frames: NDArray[np.float32], case: Case) -> NDArray[np.int64]:
        _refuse_broken(frames)
        found = count_sprites(frames)
        return np.stack([found[noun] for noun in case.nouns])

    def masks(self, frames: NDArray[np.float32], case: Case) -> list[NDArray[np.int32]]:
        _refuse_broken(frames)
        found = instance_masks(frames)
        return [found[noun] for noun in case.nouns]

    def _arguments(self) -> dict[str, Any]:
        from numina.sprites.settings import DEFAULTS

        return {**DEFAULTS.arguments(), **dict(self.settings)}

    def _folder(self) -> Path:
        from numina.sprites.model import WEIGHTS

        return WEIGHTS if self.folder is None else self.folder


def _refuse_broken(frames: NDArray[np.float32]) -> None:
    if frames.ndim != 4 or frames.shape[-1] != 3 or not frames.size:
        raise EvaluationError(f"a clip must be [F, Y, X, 3], got {frames.shape}")
    if not np.isfinite(frames).all():
        raise EvaluationError("the clip has pixels that are not finite")
