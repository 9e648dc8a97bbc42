"""One look after the other: what each makes of what it sees, and of the looks before it."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest

from numina.generation.looking import Looker
from numina.generation.outcome import Outcome
from numina.generation.reporting import report_of
from numina.generation.request import CountRequest, Row
from numina.layout import Layout, LayoutEdit
from numina.methods.method import Sighting
from numina.methods.paper import Paper
from numina.prompt.counts import parse_counts
from numina.record import Cost
from tests.pipeline.given import Given

EARLY, LATER = SimpleNamespace(step=1, noise=0.9), SimpleNamespace(step=2, noise=0.8)
EMPTY = Layout(np.zeros((3, 4, 4), np.int16), ())


@dataclass(frozen=True)
class Sees(Given):
    """Finds one and the same layout, and removes an instance of it, or adds one.

    Attributes:
        sighting: What it finds.
        told: The layouts that it was told to expect.
    """

    sighting: Sighting | None = None
    told: list[Layout | None] = field(default_factory=list)

    def identify(self, capture, expected=None):
        self.told.append(expected)
        return self.sighting

    def is_right(self, sighting, counts):
        return Paper().is_right(sighting, counts)

    def refine(self, sighting, counts, names=None):
        before = sighting.layout
        if not before.nouns:
            there = np.zeros_like(before.labels)
            there[:, 1, 1] = 1
            return LayoutEdit(before, Layout(there, (0,)), added=(1,), templates=(None,))
        fewer = np.where(before.labels == 7, 0, before.labels)
        return LayoutEdit(before, Layout(fewer, before.nouns), removed=(7,))


def sighting_of(layout: Layout) -> Sighting:
    return Sighting(layout, np.zeros((1, 3, 4, 4), np.float32))


@pytest.fixture
def coming_and_going() -> Sighting:
    """Instances that live in single frames: two, two and three of them, seven labels in all."""
    labels = np.zeros((3, 4, 4), np.int16)
    places = [(0, 0, 0), (0, 2, 2), (1, 0, 0), (1, 2, 2), (2, 0, 0), (2, 2, 2), (2, 0, 3)]
    for label, place in enumerate(places, 1):
        labels[place] = label
    return sighting_of(Layout(labels, (0,) * 7))


def looking(sighting: Sighting) -> Looker:
    request = CountRequest((Row("two cats", parse_counts("two cats"), ((1,),)),), num_keys=8)
    return Looker(Sees(sighting=sighting), request)


def reported(looker: Looker, *, guided: bool):
    outcome = Outcome(None, guided, (), Cost(0.0, 0.0), Cost(0.0, 0.0))
    return report_of(0, looker, outcome, "subjects", {})


def test_instances_that_live_in_single_frames_are_counted_by_the_frame(coming_and_going):
    looker = looking(coming_and_going)
    verdict = looker.look([EARLY], round_=0)
    assert verdict.errors == (pytest.approx(1 / 3),)
    held = "the layout held 2 to 3 instead of 2 for 'cats'"
    assert reported(looker, guided=True).reason == held


def test_a_later_look_that_tells_nothing_holds_on_to_what_was_found_wrong(coming_and_going):
    looker = looking(coming_and_going)
    (wrong,) = looker.look([EARLY], round_=0).edits
    assert wrong.removed == (7,)
    looker.method = Sees(sighting=None)
    assert looker.look([LATER], round_=0).edits == (wrong,)
    # In a run of its own there is nothing to hold on to.
    assert looker.look([EARLY], round_=1).edits == (None,)
    assert looker.unusable == {0: "no usable layout was found"}


def test_what_has_not_formed_yet_is_waited_for(coming_and_going):
    looker = looking(sighting_of(EMPTY))
    verdict = looker.look([EARLY], round_=0, is_last=False)
    assert verdict.leaves_all_alone
    assert looker.looks[0][0].edit.is_empty
    looker.method = Sees(sighting=coming_and_going)
    (edit,) = looker.look([LATER], round_=0).edits
    assert edit.removed == (7,)
    # A layout without instances is nothing to expect again.
    assert looker.method.told == [None]


def test_what_has_not_formed_at_the_last_look_is_asked_for():
    looker = looking(sighting_of(EMPTY))
    looker.look([EARLY], round_=0, is_last=False)
    (edit,) = looker.look([LATER], round_=0).edits
    assert edit.added == (1,)
    held = "the layout held 0 instead of 2 for 'cats'"
    assert reported(looker, guided=True).reason == held


def test_what_was_asked_for_and_is_not_there_is_not_waited_for(coming_and_going):
    looker = looking(coming_and_going)
    looker.look([EARLY], round_=0, is_last=False)
    looker.method = Sees(sighting=sighting_of(EMPTY))
    (edit,) = looker.look([LATER], round_=0, is_last=False).edits
    assert edit.added == (1,)
