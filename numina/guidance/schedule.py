"""How strong guidance is at each step of a run."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from numina.errors import ScheduleError

PAPER_STEPS = 50


@dataclass(frozen=True)
class GuidanceSchedule:
    """Guidance strength over a run.

    ``"paper"`` is ``delta(t) = 0.25 * (4 - 3 tanh(t - 25))`` for step ``t`` of 50 (arXiv
    2604.08546, section 4.3): 1.75 early, 1 in the middle, 0.25 late. A run of another length has
    it at the same fraction of its steps, ``t = 50 * progress``; the noise level does not matter.

    ``"hold"`` is 1 while the noise level is at least ``until``, then exactly 0: the layout is
    settled by then, and a later bias adds nothing. Being bound to the noise level, it means the
    same for every scheduler, flow shift and number of steps.

    Attributes:
        rule: ``"hold"`` or ``"paper"``.
        until: Noise level of the last guided step under ``"hold"``, 0..1.
    """

    rule: Literal["hold", "paper"] = "hold"
    until: float = 0.5

    def __post_init__(self) -> None:
        if self.rule not in ("hold", "paper"):
            raise ScheduleError(f'rule must be "hold" or "paper", got {self.rule!r}')
        if not 0 <= self.until <= 1:
            raise ScheduleError(f"until must be a noise level in 0..1, got {self.until}")

    def strength(self, noise: float, progress: float) -> float:
        """Strength at a step, unitless.

        Args:
            noise: Noise level of the step (the flow-matching sigma), 0..1.
            progress: Share of the steps done before it: step / number of steps, 0..1.
        """
        if self.rule == "paper":
            return 0.25 * (4 - 3 * math.tanh(PAPER_STEPS * progress - PAPER_STEPS / 2))
        return 1.0 if noise >= self.until else 0.0

    def strengths(self, noises: Sequence[float], first: int = 0) -> tuple[float, ...]:
        """Strength of every step of a run.

        Args:
            noises: Noise level of each step.
            first: First step that may be guided; earlier ones get 0.

        Raises:
            ScheduleError: If no step is left on which guidance would act.
        """
        strengths = tuple(
            self.strength(noise, step / len(noises)) if step >= first else 0.0
            for step, noise in enumerate(noises)
        )
        if not any(strengths):
            rest = ", ".join(f"{noise:.2f}" for noise in noises[first:])
            raise ScheduleError(
                f"guidance acts while the noise level is at least {self.until}, but the steps "
                f"from {first} on of this run of {len(noises)} have {rest or 'none left'}; use "
                "more steps, look earlier or lower `until`"
            )
        return strengths
