"""What every counted run is kept from: memory that runs out wordlessly, looks never taken."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from numina.errors import CaptureMissedError, OutOfMemoryError
from numina.generation.looking import Looker
from numina.memory import peak_bytes, reset_peak


@contextmanager
def memory_watched(way_out: str = "") -> Iterator[None]:
    """Measure the peak of memory from here on, and say what to do where it runs out.

    Args:
        way_out: A further thing to try.

    Raises:
        OutOfMemoryError: In the place of torch's.
    """
    reset_peak()
    try:
        yield
    except torch.OutOfMemoryError as error:
        advice = ["fewer frames or a smaller frame", "pipe.enable_model_cpu_offload()"]
        raise OutOfMemoryError(
            f"out of memory at a peak of {peak_bytes() / 2**30:.1f} GiB while counting; try "
            + ", or ".join([*advice, *([way_out] if way_out else [])])
        ) from error


def require_look(pipe: Any, looker: Looker) -> None:
    """Refuse a run that ended without a look, and warn of looks that told nothing.

    Raises:
        CaptureMissedError: If no video was looked at and nobody interrupted the run.
    """
    seen = any(looker.looks) or looker.unusable
    if not seen and not getattr(pipe, "interrupt", False):
        raise CaptureMissedError(
            "the run ended without a look: the layers to be looked at never ran. Disable the "
            "transformer's cache (disable_cache()) and try again"
        )
    if looker.unusable:
        warnings.warn(
            "a look changed nothing: "
            + "; ".join(f"video {row}, {why}" for row, why in sorted(looker.unusable.items())),
            stacklevel=3,
        )
