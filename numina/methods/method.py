"""What a counting method has to answer; ``paper`` and ``robust`` are the two that come along."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from numina.attention.capture import Capture, CaptureSpec
from numina.attention.guide import Plan
from numina.guidance.erasure import ErasureSpec
from numina.guidance.grafting import GraftSpec
from numina.identify.tracks import Tracks
from numina.layout import Layout, LayoutEdit
from numina.refine.quotas import Parts

# When guidance sets in: from the first step of another run on, or in the middle of the same run.
Mode = Literal["one-pass", "restart"]


@dataclass(frozen=True, eq=False)
class Sighting:
    """What was identified in one capture.

    Attributes:
        layout: The instances found.
        focus: Where each noun attends, ``[G, F, Y, X]`` float32, for the report.
        heads: The attention heads that were believed, e.g. ``"layer 3, head 1"``.
        head_maps: Pictures of what they see, ``[M, Y, X]`` float32, 0 to 1, or None.
        tracks: The same instances with those seen too briefly to count, where they were linked.
    """

    layout: Layout
    focus: NDArray[np.float32]
    heads: tuple[str, ...] = ()
    head_maps: NDArray[np.float32] | None = None
    tracks: Tracks | None = None


class Method(Protocol):
    """Identify, judge, refine, plan: one answer of each kind."""

    @property
    def name(self) -> str: ...

    @property
    def capture(self) -> CaptureSpec:
        """Which layers a look needs."""
        ...

    @property
    def verdict(self) -> float:
        """Noise level of the look on which restart mode decides."""
        ...

    @property
    def looks(self) -> tuple[float, ...]:
        """Noise levels of the looks of one-pass mode, falling; empty if it has no such mode."""
        ...

    @property
    def erasure(self) -> ErasureSpec | None:
        """How removed instances are erased from predictions; None leaves it to the attention."""
        ...

    @property
    def grafting(self) -> GraftSpec | None:
        """How added instances are grafted in restart mode; None leaves them to the attention."""
        ...

    def identify(self, capture: Capture, expected: Layout | None = None) -> Sighting | None:
        """Find the instances; None where the capture shows no usable layout.

        Args:
            capture: What the run showed.
            expected: The layout that an earlier look at this run left it with, or that it is
                guided to; None at the first look at an unguided run.
        """
        ...

    def is_right(self, sighting: Sighting, counts: Sequence[int]) -> bool: ...

    def refine(
        self, sighting: Sighting, counts: Sequence[int], names: Sequence[str] | None = None
    ) -> LayoutEdit:
        """Edit the layout until it holds the counts; ``names`` of the nouns serve messages."""
        ...

    def plan(self, edits: Sequence[LayoutEdit | None], num_nouns: int) -> Plan:
        """The guidance that enforces the edits; rows of the batch without one stay free."""
        ...

    def strength(self, noise: float, progress: float) -> float:
        """Guidance strength at a noise level, ``progress`` of the steps (0..1) being done."""
        ...


@runtime_checkable
class Placing(Protocol):
    """What a method answers beside that, if it knows where in the frame instances shall be.

    ``places`` says of each noun how its count is shared among parts of the frame; it is empty for
    a noun that may be anywhere. A prompt that names places is refused where a method lacks this.
    """

    def is_in_place(
        self, layout: Layout, counts: Sequence[int], places: Sequence[Parts]
    ) -> bool: ...

    def refine_in_place(
        self,
        sighting: Sighting,
        counts: Sequence[int],
        places: Sequence[Parts],
        names: Sequence[str] | None = None,
    ) -> LayoutEdit:
        """Edit the layout until every place holds its count, and nothing is elsewhere."""
        ...
