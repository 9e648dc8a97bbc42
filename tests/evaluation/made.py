"""A suite without a model: clips are arrays that hold their own counts."""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import torch

from numina.errors import TargetError
from numina.evaluation import Case, Clip, EvaluationError, Task

FRAMES = 3


def clip_of(counts: Any) -> np.ndarray:
    """Frames ``[F, G, 1, 3]`` that show ``counts`` ``[G, F]``."""
    return np.repeat(np.array(counts, np.float32).T[:, :, None, None], 3, axis=3)


class MadePipe:
    """Draws one thing too few of the first noun, whatever is asked."""

    def __init__(self) -> None:
        self.calls = 0
        self.transformer = torch.nn.Identity()

    def __call__(self, prompt: str, seed: int, attempt: int) -> Any:
        self.calls += 1
        for _ in range(4):
            self.transformer(torch.zeros(1))
        first, second = (int(word) for word in prompt.split() if word.isdigit())
        return SimpleNamespace(frames=[clip_of([[first - 1] * FRAMES, [second] * FRAMES])])


@dataclass(frozen=True)
class MadeSuite:
    """Case ``i`` asks for ``i % 3 + 1`` and 2 things.

    Attributes:
        seed: Seed of the first case.
        pids: Folder in which each process that loads the pipeline leaves its id.
        model: Part of what the results depend on.
    """

    seed: int = 10
    pids: Path | None = None
    model: str = "made"
    name: str = "made"

    def describe(self) -> dict[str, Any]:
        return {"suite": self.name, "seed": self.seed, "model": self.model}

    def case(self, index: int) -> Case:
        targets = (index % 3 + 1, 2)
        prompt = f"{targets[0]} apples and {targets[1]} stars"
        return Case(self.seed + index, prompt, ("apples", "stars"), targets)

    def load(self) -> MadePipe:
        if self.pids is not None:
            (self.pids / str(os.getpid())).touch()
        return MadePipe()

    def call(self, case: Case, attempt: int = 0) -> dict[str, Any]:
        return {"seed": case.seed, "attempt": attempt}

    def count(self, frames: np.ndarray, case: Case) -> np.ndarray:
        if not np.isfinite(frames).all():
            raise EvaluationError("the clip has pixels that are not finite")
        return frames[:, :, 0, 0].T.astype(np.int64)


@dataclass(frozen=True)
class Offset:
    """Draws ``by`` things too many of the second noun and all of the first.

    Attributes:
        by: How many too many.
        seconds: How long it takes.
        needs_plain: Whether the plain clip must be at hand.
    """

    by: int = 0
    seconds: float = 0.0
    needs_plain: bool = False
    needs_masks: ClassVar[bool] = False

    def generate(self, task: Task) -> Clip:
        time.sleep(self.seconds)
        assert (task.plain is not None) or not self.needs_plain
        first, second = task.case.targets
        frames = clip_of([[first] * FRAMES, [second + self.by] * FRAMES])
        return Clip(frames, 2.0, 0.5, "guided", ((first, second),))


@dataclass(frozen=True)
class Refusing:
    """Refuses prompts for three things, and draws NaN where two are asked for.

    Attributes:
        mended: Whether it has learnt to draw them.
    """

    mended: bool = False
    needs_plain: bool = False
    needs_masks: ClassVar[bool] = False

    def __repr__(self) -> str:
        return "Refusing()"

    def generate(self, task: Task) -> Clip:
        first, second = task.case.targets
        if first == 3 and not self.mended:
            raise TargetError("3 do not fit")
        value = np.nan if first == 2 and not self.mended else first
        return Clip(clip_of([[value] * FRAMES, [second] * FRAMES]), 1.0, 0.1, "guided")


@dataclass(frozen=True)
class Buggy:
    """Fails as our own code would: with an error that nobody meant."""

    needs_plain: bool = False
    needs_masks: ClassVar[bool] = False

    def generate(self, task: Task) -> Clip:
        raise ZeroDivisionError("a bug")


@dataclass(frozen=True)
class Dying:
    """Ends its process without a word."""

    needs_plain: bool = False
    needs_masks: ClassVar[bool] = False

    def generate(self, task: Task) -> Clip:
        os._exit(9)
