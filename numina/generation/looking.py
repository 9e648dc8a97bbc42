"""Look at a running generation: identify every video of the batch and say what must change."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from numina.attention.capture import Capture
from numina.errors import NoRoomError, TargetError
from numina.generation.request import CountRequest
from numina.layout import Layout, LayoutEdit
from numina.methods.method import Method, Placing
from numina.places import told
from numina.record import Look
from numina.refine.quotas import misplaced


@dataclass(frozen=True, eq=False)
class Verdict:
    """The outcome of one look, per video of the batch.

    Attributes:
        edits: What to enforce. None leaves a video alone: nothing to count, no usable layout, or
            right at every look so far. An empty edit holds on to what an earlier one achieved.
        errors: How many instances each video is off by in a frame, on average, summed over its
            nouns; those of a placed noun that are elsewhere come on top.
    """

    edits: tuple[LayoutEdit | None, ...]
    errors: tuple[float, ...]

    @property
    def is_right(self) -> bool:
        """Whether no video needs a change."""
        return all(edit is None or edit.is_empty for edit in self.edits)

    @property
    def leaves_all_alone(self) -> bool:
        """Whether there is nothing to enforce."""
        return all(edit is None for edit in self.edits)


@dataclass
class Looker:
    """Looks with a method at the videos of a request, and remembers what it saw.

    Attributes:
        method: Who identifies and refines.
        request: What is asked for.
        looks: The looks so far at each video.
        unusable: Why some look at a video found no layout to work with.
    """

    method: Method
    request: CountRequest
    looks: tuple[list[Look], ...] = field(init=False)
    unusable: dict[int, str] = field(default_factory=dict)
    _corrected: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.looks = tuple([] for _ in self.request.rows)
        for row in self.request.rows:
            if row.places and not isinstance(self.method, Placing):
                placed = next(target for target in row.targets if target.places)
                raise TargetError(
                    f"{row.prompt!r} asks for {placed.phrase} {told(placed.parts)}, and the method "
                    f'{self.method.name!r} does not know places; use preset="robust", or '
                    f"counts={{{placed.phrase!r}: {placed.count}}} to count anywhere"
                )

    def look(self, captures: Sequence[Capture], round_: int, *, is_last: bool = True) -> Verdict:
        """Identify, judge and refine each video.

        Args:
            captures: What the run showed, one for each video.
            round_: 0 for an unguided run, then 1, 2, … for every guided one.
            is_last: Whether no later look at this run can act. Before that, a video in which no
                instance has formed yet is left alone: what is not there yet is not missing.
        """
        judged = [
            self._judge(row, capture, round_, is_last) for row, capture in enumerate(captures)
        ]
        return Verdict(tuple(edit for edit, _ in judged), tuple(error for _, error in judged))

    def _judge(
        self, row: int, capture: Capture, round_: int, is_last: bool
    ) -> tuple[LayoutEdit | None, float]:
        counts = self.request.rows[row].counts
        if not counts:
            return None, 0
        sighting = self.method.identify(capture, self._expected(row))
        if sighting is None:
            return self._unusable(row, round_, "no usable layout was found")
        places = self.request.rows[row].places
        waits = not is_last and row not in self._corrected and not sighting.layout.labels.any()
        if waits or (
            self.method.is_right(sighting, counts)
            and (not places or self._placing.is_in_place(sighting.layout, counts, places))
        ):
            edit = LayoutEdit(sighting.layout, sighting.layout)
        else:
            names = [target.phrase for target in self.request.rows[row].targets]
            try:
                if places:
                    edit = self._placing.refine_in_place(sighting, counts, places, names)
                else:
                    edit = self.method.refine(sighting, counts, names)
            except NoRoomError as no_room:
                # What was seen may be mistaken, and a run half done must not be lost for it.
                return self._unusable(row, round_, f"the layout found has no room: {no_room}")
            if edit.is_empty:
                why = "an instance is not there in every frame, and no place is free to hold it"
                return self._unusable(row, round_, why)
            self._corrected.add(row)
        self.looks[row].append(
            Look(
                round=round_,
                step=capture.step,
                noise=capture.noise,
                edit=edit,
                focus=sighting.focus,
                heads=sighting.heads,
                head_maps=sighting.head_maps,
            )
        )
        # Per frame, because the instances of some methods live in single frames.
        seen = [edit.seen.count_per_frame(noun) for noun in range(len(counts))]
        error = sum(float(abs(one - count).mean()) for one, count in zip(seen, counts, strict=True))
        if places:
            error += misplaced(sighting.layout, counts, places)
        return (edit if row in self._corrected else None), error

    def _expected(self, row: int) -> Layout | None:
        """What the last look left a video with: the layout of a later one is much the same."""
        left = self.looks[row][-1].edit.after if self.looks[row] else None
        # Of what had not formed yet there is nothing to know again.
        return left if left is not None and left.labels.any() else None

    def _unusable(self, row: int, round_: int, why: str) -> tuple[LayoutEdit | None, float]:
        """Hold on to what an earlier look at the same run asked for."""
        self.unusable[row] = why
        earlier = [look.edit for look in self.looks[row] if look.round == round_]
        return (earlier[-1] if earlier and row in self._corrected else None), 0

    @property
    def _placing(self) -> Placing:
        assert isinstance(self.method, Placing), "a request with places was refused before"
        return self.method
