"""What a report tells: one run, what it drew before and after, and how that was counted."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from numina.layout import Layout
from numina.record import Cost, CountReport, Look

Frames = NDArray[np.uint8]
"""A video, ``[F, Y, X, 3]``."""

CountSource = Literal["counter", "layout", "plan"]
"""Counted in the finished frames, read from the layout of a look, or only asked for."""


@dataclass(frozen=True)
class Tally:
    """How many instances of one noun each frame holds.

    Attributes:
        counts: One count per frame; latent frames where the source is a layout.
        source: How they were found.
    """

    counts: tuple[int, ...]
    source: CountSource

    def __post_init__(self) -> None:
        if not self.counts or min(self.counts) < 0:
            raise ValueError(f"a tally needs counts of 0 or more, got {self.counts}")

    def frames_with(self, count: int) -> int:
        """Number of frames that hold exactly ``count``."""
        return self.counts.count(count)

    def is_always(self, count: int) -> bool:
        """Whether every frame holds exactly ``count``."""
        return self.frames_with(count) == len(self.counts)

    @property
    def typical(self) -> int:
        """The count that most frames hold; the larger one of two that are equally frequent."""
        return max(self.counts, key=lambda count: (self.counts.count(count), count))


@dataclass(frozen=True)
class TargetTally:
    """The counts of one target before and after guidance; before is None where nothing is known."""

    before: Tally | None
    after: Tally | None


@dataclass(frozen=True)
class RunStory:
    """One prompt's run as a report shows it.

    Attributes:
        report: What the run remembers of itself.
        model: Folder or name of the model.
        seed: Seed of the first noise.
        after: The video of the counted run.
        before: The plain model's video of the same seed, where it was generated.
        exact: Counts in the finished frames, one per target of the report, where a counter
            knows them; else the layouts are counted, and the report says so.
        plain: Cost of the plain run, where there was one.
        versions: Version of every package that matters.
        fps: Frames a second that the videos are shown at.
    """

    report: CountReport
    model: str
    seed: int
    after: Frames
    before: Frames | None = None
    exact: tuple[TargetTally, ...] | None = None
    plain: Cost | None = None
    versions: dict[str, str] = field(default_factory=dict)
    fps: int = 8

    def __post_init__(self) -> None:
        for name, frames in (("before", self.before), ("after", self.after)):
            if frames is not None:
                require_frames(name, frames)
        if self.exact is not None and len(self.exact) != len(self.report.targets):
            raise ValueError(
                f"{len(self.report.targets)} targets are reported, but {len(self.exact)} counted"
            )
        if self.fps < 1:
            raise ValueError(f"fps must be 1 or more, got {self.fps}")

    @property
    def edits(self) -> tuple[Look, ...]:
        """The looks that changed something."""
        return tuple(look for look in self.report.looks if not look.edit.is_empty)

    @property
    def plain_look(self) -> Look | None:
        """The look that knew best what the plain run was drawing: the last one before a change.

        A look that changes something has itself still seen the run without that change.
        """
        if self.edits:
            return self.edits[0]
        return self.report.looks[-1] if self.report.looks else None

    @property
    def is_untouched(self) -> bool:
        """Whether the video before and the video after are the same."""
        return self.before is None or np.array_equal(self.before, self.after)

    @property
    def tallies(self) -> tuple[TargetTally, ...]:
        """Counts of every target: the exact ones, else those of the layouts."""
        if self.exact is not None:
            return self.exact
        return tuple(self._layout_tally(noun) for noun in range(len(self.report.targets)))

    @property
    def layout_after(self) -> tuple[Layout, CountSource] | None:
        """The layout of the counted run as far as it is known, and how; None without a look."""
        plain = self.plain_look
        if plain is None:
            return None
        if self.report.decision != "guided" or not self.edits:
            return plain.edit.seen, "layout"
        # A look after the last edit has seen what guidance made of it; without one there is only
        # the plan.
        edit, last = self.edits[-1], self.report.looks[-1]
        if last is not edit:
            return last.edit.seen, "layout"
        return edit.edit.after, "plan"

    def _layout_tally(self, noun: int) -> TargetTally:
        plain, after = self.plain_look, self.layout_after
        if plain is None or after is None:
            return TargetTally(None, None)
        layout, source = after
        return TargetTally(_tally(plain.edit.seen, noun, "layout"), _tally(layout, noun, source))


def require_frames(name: str, frames: Frames) -> None:
    """Refuse anything but a video of at least one frame, ``[F, Y, X, 3]`` uint8.

    Raises:
        ValueError: Naming the argument, and what came.
    """
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or not frames.size:
        raise ValueError(
            f"{name} must be [F, Y, X, 3] uint8 with at least one frame, "
            f"got {frames.shape} {frames.dtype}"
        )


def _tally(layout: Layout, noun: int, source: CountSource) -> Tally:
    return Tally(tuple(int(count) for count in layout.count_per_frame(noun)), source)
