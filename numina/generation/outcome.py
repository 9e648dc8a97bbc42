"""What a mode of generation hands back."""

from dataclasses import dataclass
from typing import Any

from numina.record import Cost


@dataclass(frozen=True, eq=False)
class Outcome:
    """A finished generation.

    Attributes:
        output: What the pipeline returned.
        guided: Whether a plan was enforced.
        strengths: ``(noise, strength)`` of every guided step.
        identify: Cost up to the decision, where a run of its own led to it.
        total: Cost of everything.
        failed: Whether guidance was given up, out of memory, for a plain run.
    """

    output: Any
    guided: bool
    strengths: tuple[tuple[float, float], ...]
    identify: Cost
    total: Cost
    failed: bool = False
