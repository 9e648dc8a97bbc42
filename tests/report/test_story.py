"""What a story says of its counts, and where they come from."""

import numpy as np
import pytest
from report import made

from numina.report import RunStory, Tally, TargetTally


def test_typical_is_the_count_of_most_frames():
    assert Tally((2, 3, 3, 2, 3), "counter").typical == 3
    assert Tally((2, 3), "counter").typical == 3


@pytest.mark.parametrize("counts", [(), (2, -1)])
def test_a_tally_without_frames_or_below_zero_is_refused(counts):
    with pytest.raises(ValueError, match="counts of 0 or more"):
        Tally(counts, "counter")


def test_exact_counts_win_over_the_layout():
    story = made.story(exact=(made.counted(4, 5),))
    assert story.tallies[0].before == Tally((4,) * 5, "counter")


def test_the_counts_of_a_layout_are_of_all_that_was_seen():
    tally = made.story(edit=made.steadied(), exact=None, compare=False).tallies[0]
    assert tally.before.counts == (3, 2, 1)
    assert tally.after.counts == (2, 2, 2)


def test_without_a_look_after_the_edit_the_count_is_only_a_plan():
    tally = made.story(exact=None).tallies[0]
    assert tally.before == Tally((2, 2, 2), "layout")
    assert tally.after == Tally((3, 3, 3), "plan")


def test_a_look_after_the_edit_tells_what_guidance_made_of_it():
    four = made.addition((0,) * 4, ())
    looks = (made.look(made.addition((0, 0), (0,)), 1), made.look(four, 1, round_=1))
    tally = made.story(exact=None, looks=looks).tallies[0]
    assert tally.after == Tally((4, 4, 4), "layout")


def test_of_several_looks_at_the_plain_run_the_last_one_counts():
    looks = (
        made.look(made.addition((0,) * 3, ()), 1, step=2),
        made.look(made.addition((0, 0), (0,)), 1, step=4),
    )
    story = made.story(exact=None, looks=looks)
    assert story.plain_look is looks[1]
    assert story.tallies[0].before == Tally((2, 2, 2), "layout")


@pytest.mark.parametrize("decision", ["continued", "unguided"])
def test_a_run_left_alone_has_the_same_layout_before_and_after(decision):
    tally = made.story(exact=None, decision=decision).tallies[0]
    assert tally.before == tally.after == Tally((2, 2, 2), "layout")


def test_a_run_without_looks_knows_no_counts():
    assert made.story(exact=None, looks=()).tallies == (TargetTally(None, None),)


@pytest.mark.parametrize(
    "frames",
    [
        np.zeros((0, 8, 8, 3), np.uint8),
        np.zeros((2, 8, 8, 3), np.float32),
        np.zeros((8, 8, 3), np.uint8),
        np.zeros((2, 8, 8, 4), np.uint8),
    ],
)
def test_anything_but_a_video_is_refused_by_name(frames):
    report = made.story().report
    with pytest.raises(ValueError, match="after must be"):
        RunStory(report, "model", 0, frames)


def test_counts_must_be_of_every_target():
    with pytest.raises(ValueError, match="1 targets are reported, but 2 counted"):
        made.story(exact=(made.counted(2, 3), made.counted(1, 1)))
