"""What a way of generating hands back."""

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
        identify: Cost of the run that led to the decision; the whole one where it went on.
        total: Cost of everything.
        forgone: Why a plan was not enforced that might have been; empty where none was forgone.
    """

    output: Any
    guided: bool
    strengths: tuple[tuple[float, float], ...]
    identify: Cost
    total: Cost
    forgone: str = ""
