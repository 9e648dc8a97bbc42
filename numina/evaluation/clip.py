"""A case to be generated, the clip that comes of it, and the plain way to get there."""

import time
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from numina.evaluation.failure import EvaluationError
from numina.evaluation.suites import Case, Suite


@dataclass(frozen=True, eq=False)
class Clip:
    """One finished clip.

    Attributes:
        frames: ``[F, Y, X, 3]`` in 0..1, as decoded, before any encoding.
        forwards: Transformer forwards that it cost, guidance branches counted singly.
        seconds: Wall time.
        decision: ``"plain"``, or what the method decided: see ``CountReport``.
        seen: At each look, how many instances of every noun were identified.
    """

    frames: NDArray[np.float32]
    forwards: float
    seconds: float
    decision: str = "plain"
    seen: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True, eq=False)
class Task:
    """One case to be generated.

    Attributes:
        pipe: The pipeline.
        suite: Whose case it is.
        case: The case.
        plain: The plain clip of the same case, for methods that ask for it.
    """

    pipe: Any
    suite: Suite
    case: Case
    plain: Clip | None = None


class Evaluated(Protocol):
    """A way to generate a clip. Its ``repr`` holds all settings, and identifies its results."""

    @property
    def needs_plain(self) -> bool:
        """Whether the plain clip must be at hand."""
        ...

    @property
    def needs_masks(self) -> bool:
        """Whether the suite must know the exact place of every instance (``MaskedSuite``)."""
        ...

    def generate(self, task: Task) -> Clip: ...


@dataclass(frozen=True)
class Plain:
    """The pipeline as it is, without a line of numina in it."""

    needs_plain: bool = False
    needs_masks: ClassVar[bool] = False

    def generate(self, task: Task) -> Clip:
        return plain_clip(task)


def plain_clip(task: Task, attempt: int = 0) -> Clip:
    """The stock pipeline call, with nothing attached but a counter of forward passes.

    Args:
        task: The case.
        attempt: 0 for the noise of the case, then others.
    """
    forwards, started = 0, time.perf_counter()

    def note(*_: Any) -> None:
        nonlocal forwards
        forwards += 1

    models = [getattr(task.pipe, name, None) for name in ("transformer", "transformer_2")]
    hooks = [model.register_forward_pre_hook(note) for model in models if model is not None]
    try:
        output = task.pipe(prompt=task.case.prompt, **task.suite.call(task.case, attempt))
    finally:
        for hook in hooks:
            hook.remove()
    return Clip(first_video(output), float(forwards), time.perf_counter() - started)


def first_video(output: Any) -> NDArray[np.float32]:
    """The frames ``[F, Y, X, 3]`` of the one video that a pipeline call returns.

    Raises:
        EvaluationError: If the output holds no video: what was not made is no clip without things.
    """
    videos = getattr(output, "frames", None)
    if videos is None or not len(videos):
        raise EvaluationError(f"the pipeline returned {type(output).__name__} without a video")
    return videos[0]
