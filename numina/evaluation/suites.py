"""Suites: numbered cases of prompt, targets and noise, and how to judge a clip."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray

from numina.evaluation.counters import Counter, SpritesCounter, refuse_broken
from numina.sprites.counter import instance_masks
from numina.sprites.world import prompt_for

# Prompts of these seeds are for choosing settings; figures are reported on others.
TUNING_SEEDS = range(100_000)
REPORTING_SEED = 100_000
_ATTEMPTS_APART = 2**27


@dataclass(frozen=True)
class Case:
    """One prompt of a suite.

    Attributes:
        seed: Decides the prompt and the noise, alone.
        prompt: The prompt.
        nouns: What to count, in the order of the prompt.
        targets: The count asked for, per noun.
        told: Whether methods are told nouns and targets, instead of reading them from the prompt.
    """

    seed: int
    prompt: str
    nouns: tuple[str, ...]
    targets: tuple[int, ...]
    told: bool = False

    def noise_seed(self, attempt: int = 0) -> int:
        """Seed of the noise of the case; others for further attempts."""
        # Seeds of further attempts lie far above those of any case. The generator of the CPU knows
        # a seed by its lower 32 bits alone, so they may not lie higher.
        return (self.seed + attempt * _ATTEMPTS_APART) % 2**32

    def noise(self, attempt: int = 0) -> torch.Generator:
        """The noise of the case; other noise for further attempts."""
        return torch.Generator().manual_seed(self.noise_seed(attempt))


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


@runtime_checkable
class MaskedSuite(Suite, Protocol):
    """A suite that knows where every instance is, to the pixel."""

    @property
    def tracked(self) -> bool:
        """Whether a number in the masks means the same instance in every frame."""
        ...

    def masks(self, frames: NDArray[np.float32], case: Case) -> list[NDArray[np.int32]]:
        """Exact masks of every noun, ``[F, Y, X]`` each: 0 for none, then 1, 2, …"""
        ...


@dataclass(frozen=True)
class SpritesSuite:
    """The sprites world: its captions, its tiny pipeline, its exact counter.

    Attributes:
        seed: Seed of the first case; case ``i`` has ``seed + i``.
        folder: Folder of the pipeline; None for the shipped one.
        settings: Arguments of the pipeline call that differ from the shipped defaults.
        counter: Who counts; masks are exact whoever counts.
    """

    seed: int = REPORTING_SEED
    folder: Path | None = None
    settings: tuple[tuple[str, Any], ...] = ()
    counter: Counter = field(default=SpritesCounter(), kw_only=True)
    tracked: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"seed must be 0 or more, got {self.seed}")

    @property
    def name(self) -> str:
        return "sprites"

    def describe(self) -> dict[str, Any]:
        from numina.evaluation.provenance import folder_hash

        exact = self.counter == SpritesCounter()
        return {
            "suite": self.name,
            "seed": self.seed,
            "call": self._arguments(),
            "dtype": "float32",
            "model_sha256": folder_hash(self._folder()),
            **({} if exact else {"counter": self.counter.describe()}),
        }

    def case(self, index: int) -> Case:
        return sprites_case(self.seed + index)

    def load(self) -> Any:
        from numina.sprites.model import load

        self.counter.prepare()
        return load(torch.float32, self._folder())

    def call(self, case: Case, attempt: int = 0) -> dict[str, Any]:
        return {**self._arguments(), "generator": case.noise(attempt), "output_type": "np"}

    def count(self, frames: NDArray[np.float32], case: Case) -> NDArray[np.int64]:
        return self.counter.count(frames, case.nouns)

    def masks(self, frames: NDArray[np.float32], case: Case) -> list[NDArray[np.int32]]:
        refuse_broken(frames)
        found = instance_masks(frames)
        return [found[noun] for noun in case.nouns]

    def _arguments(self) -> dict[str, Any]:
        from numina.sprites.settings import DEFAULTS

        return {**DEFAULTS.arguments(), **dict(self.settings)}

    def _folder(self) -> Path:
        from numina.sprites.model import WEIGHTS

        return WEIGHTS if self.folder is None else self.folder


def sprites_case(seed: int) -> Case:
    """The case of the sprites world that ``seed`` alone decides."""
    scene = prompt_for(seed)
    nouns, targets = zip(*scene.groups, strict=True)
    return Case(seed, scene.caption, nouns, targets)
