"""What a counted run remembers: the decision, the looks that led to it, and what it cost."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from numina.layout import LayoutEdit
from numina.places import Place

Decision = Literal["continued", "guided", "unguided"]


@dataclass(frozen=True)
class TargetRecord:
    """One counted noun of the prompt.

    Attributes:
        noun: Head noun as it stands in the prompt.
        phrase: The words that name the group, e.g. ``"red balls"``.
        count: The number the prompt asks for.
        spans: Character spans of every mention.
        places: How the count is shared among parts of the frame; empty where it is not.
    """

    noun: str
    phrase: str
    count: int
    spans: tuple[tuple[int, int], ...]
    places: tuple[tuple[Place, int], ...] = ()


@dataclass(frozen=True)
class Look:
    """One look at a running generation, and the edit it led to.

    Attributes:
        round: 0 for the unguided run, then 1, 2, … for every guided one.
        step: Denoising step looked at, 0-based.
        noise: Its noise level.
        edit: The identified layout and what shall become of it.
        focus: Where each noun attends, ``[G, F, Y, X]`` float32.
        heads: Names of the attention heads that were used, e.g. ``"layer 3, head 1"``.
        head_maps: Pictures of what they see, ``[M, Y, X]`` float32, 0 to 1; None without any.
    """

    round: int
    step: int
    noise: float
    edit: LayoutEdit
    focus: NDArray[np.float32]
    heads: tuple[str, ...] = ()
    head_maps: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Cost:
    """Forward passes, wall seconds and peak memory of one pass or run.

    ``forwards`` counts transformer forwards, guidance branches counted singly; a pass that stops
    after layer l* of L counts that forward as ``l* / L``.
    """

    forwards: float
    seconds: float
    peak_bytes: int | None = None

    def __add__(self, other: "Cost") -> "Cost":
        """Forwards and seconds add up; the peak is the higher one."""
        peaks = [peak for peak in (self.peak_bytes, other.peak_bytes) if peak is not None]
        return Cost(
            self.forwards + other.forwards,
            self.seconds + other.seconds,
            max(peaks) if peaks else None,
        )


@dataclass(frozen=True)
class CountReport:
    """The whole story of one prompt of a run.

    Attributes:
        prompt: The prompt as given.
        targets: Nouns and the counts asked for; empty where none was found.
        decision: ``"continued"`` (the count was right, or nothing to count), ``"guided"``, or
            ``"unguided"`` (no usable layout, out of memory on request, or interrupted).
        reason: Why, in one sentence a user can read.
        looks: In the order they were taken.
        strengths: ``(noise, strength)`` of every step of the guided run.
        identify: Cost of the run that led to the decision, counted in ``total`` as well; in one
            pass there is no other.
        total: Cost of the whole run.
        settings: Preset, mode, rounds and versions, as plain JSON values.
    """

    prompt: str
    targets: tuple[TargetRecord, ...]
    decision: Decision
    reason: str
    looks: tuple[Look, ...] = ()
    strengths: tuple[tuple[float, float], ...] = ()
    identify: Cost = Cost(0.0, 0.0)
    total: Cost = Cost(0.0, 0.0)
    settings: dict[str, str | int | float | bool | None] = field(default_factory=dict)
