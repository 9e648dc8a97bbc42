"""What every stage of a run is given: where it runs, what it measures, how long it may take."""

import gc
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.kernels.shapes import Shape
from numina_kernels.impl import Impl

Row = dict[str, Any]


@dataclass(frozen=True)
class Bench:
    """The settings of a run.

    Attributes:
        device: Where tensors live.
        impl: Our implementation that is measured.
        shapes: Whose attention is timed.
        dtype: Of query, key and value where time is measured.
        repeats: Most rounds of one comparison.
        bit_repeats: Repeats of one run whose bits are compared.
        seed: Of all random inputs.
        tiny: Whether it is only shown that all runs.
    """

    device: torch.device
    impl: Impl
    shapes: tuple[Shape, ...]
    dtype: torch.dtype
    repeats: int
    bit_repeats: int
    seed: int
    tiny: bool

    @property
    def on_gpu(self) -> bool:
        return self.device.type == "cuda"


@dataclass(frozen=True)
class Deadline:
    """When a stage should have ended, by ``time.monotonic``."""

    end: float

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        return cls(time.monotonic() + seconds)

    @property
    def left(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.end - time.monotonic())

    @property
    def over(self) -> bool:
        return self.left == 0.0


# A stage yields one row for each thing it looked at; what it had no time for is a row as well.
Stage = Callable[[Bench, Deadline], Iterator[Row]]

OUT_OF_TIME = "the time of the stage was used up"


def synchronize(device: torch.device) -> None:
    """Wait for the device, so that an error is raised where it was made."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def free_memory(device: torch.device) -> None:
    """Give back what is not needed any more, so that one hunger does not starve the next."""
    if device.type == "cuda":
        gc.collect()
        torch.cuda.empty_cache()


def reason(error: BaseException) -> str:
    """An error in one line."""
    lines = str(error).strip().splitlines() or ["without a message"]
    return f"{type(error).__name__}: {lines[0]}"
