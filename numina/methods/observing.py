"""A method that only looks: another one identifies, and nothing is ever called wrong."""

from collections.abc import Sequence
from dataclasses import dataclass

from numina.attention.capture import Capture, CaptureSpec
from numina.attention.guide import Plan
from numina.layout import Layout, LayoutEdit
from numina.methods.method import Method, Sighting
from numina.refine.quotas import Parts


@dataclass(frozen=True)
class Observing:
    """See what ``method`` sees, at its layers and noise levels, and leave the run alone.

    Whoever asks ``is_right`` goes on, in both modes: no run is stopped, no plan made, and the video
    is that of the plain pipeline bit for bit. What was seen is in the looks.

    Attributes:
        method: Who identifies.
    """

    method: Method

    @property
    def name(self) -> str:
        return f"observing {self.method.name}"

    @property
    def capture(self) -> CaptureSpec:
        return self.method.capture

    @property
    def verdict(self) -> float:
        return self.method.verdict

    @property
    def looks(self) -> tuple[float, ...]:
        return self.method.looks

    @property
    def erasure(self) -> None:
        return None

    @property
    def grafting(self) -> None:
        return None

    def identify(self, capture: Capture, expected: Layout | None = None) -> Sighting | None:
        return self.method.identify(capture, expected)

    def is_right(self, sighting: Sighting, counts: Sequence[int]) -> bool:
        return True

    def refine(
        self, sighting: Sighting, counts: Sequence[int], names: Sequence[str] | None = None
    ) -> LayoutEdit:
        return LayoutEdit(sighting.layout, sighting.layout)

    def is_in_place(self, layout: Layout, counts: Sequence[int], places: Sequence[Parts]) -> bool:
        return True

    def refine_in_place(
        self,
        sighting: Sighting,
        counts: Sequence[int],
        places: Sequence[Parts],
        names: Sequence[str] | None = None,
    ) -> LayoutEdit:
        return self.refine(sighting, counts, names)

    def plan(self, edits: Sequence[LayoutEdit | None], num_nouns: int) -> Plan:
        raise AssertionError("every layout was called right, so there is nothing to enforce")

    def strength(self, noise: float, progress: float) -> float:
        return 0.0
