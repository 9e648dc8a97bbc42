"""What two rounds ask for, told from the layout of the run that both begin from."""

import numpy as np
import pytest

from numina.layout import LayoutEdit
from numina.refine.composition import composed
from tests.four_places import A, B, C, D, layout

PLAIN = layout(A, B)
SECOND_GOES = LayoutEdit(PLAIN, layout(A, None), removed=(2,))
THIRD_COMES = LayoutEdit(PLAIN, layout(A, B, C), added=(3,), templates=(1,))


def test_what_was_removed_is_removed_again():
    """A look at the guided run sees it no more."""
    seen = layout(A)
    both = composed(SECOND_GOES, LayoutEdit(seen, layout(A, C), added=(2,), templates=(1,)))
    assert both.before is PLAIN
    assert both.removed == (2,)
    assert both.added == (3,)
    assert both.templates == (1,)
    np.testing.assert_array_equal(both.after.labels, layout(A, None, C).labels)


def test_what_was_added_is_added_again_with_its_template():
    """A look at the guided run takes it for one that was always there."""
    seen = layout(C, A, B)
    both = composed(THIRD_COMES, LayoutEdit(seen, layout(C, A, None), removed=(3,)))
    assert both.removed == (2,)
    assert both.added == (3,)
    assert both.templates == (1,)
    np.testing.assert_array_equal(both.after.labels, layout(A, None, C).labels)


def test_nothing_more_is_asked_of_what_took():
    right = layout(A, B, C)
    assert composed(THIRD_COMES, LayoutEdit(right, right)) is THIRD_COMES
    assert composed(None, THIRD_COMES) is THIRD_COMES


def test_a_copy_of_one_that_came_later_has_no_template():
    seen = layout(A, B, C)
    later = LayoutEdit(seen, layout(A, B, C, D), added=(4,), templates=(3,))
    both = composed(THIRD_COMES, later)
    assert both.added == (3, 4)
    assert both.templates == (1, None)


def test_what_was_added_and_is_no_longer_wanted_is_not_asked_for():
    seen = layout(A, B, C)
    both = composed(THIRD_COMES, LayoutEdit(seen, layout(A, B, None), removed=(3,)))
    assert both.added == both.templates == both.removed == ()
    np.testing.assert_array_equal(both.after.labels, PLAIN.labels)


def test_an_instance_of_another_noun_is_another_one():
    seen = layout(A, B, nouns=(0, 1))
    both = composed(SECOND_GOES, LayoutEdit(seen, layout(None, B, nouns=(0, 1)), removed=(1,)))
    assert both.removed == (1, 2)
    assert both.added == (3,)
    assert both.after.nouns[2] == 1


def test_of_two_that_cover_one_the_larger_share_is_it():
    seen = layout(np.s_[:, 2:4, 1:2], np.s_[:, 2:4, 2:4])
    after = layout(np.s_[:, 2:4, 1:2], np.s_[:, 2:4, 2:4], D)
    both = composed(SECOND_GOES, LayoutEdit(seen, after, added=(3,), templates=(2,)))
    assert (both.after.labels[0, 2, 1:4] == [3, 1, 1]).all()
    assert both.templates == (None, 1)


def test_brief_sightings_are_those_of_the_run_that_both_begin_from():
    brief = layout(D)
    first = LayoutEdit(PLAIN, PLAIN, brief=brief)
    both = composed(first, LayoutEdit(PLAIN, layout(A, B, C), added=(3,), templates=(1,)))
    assert both.brief is brief


@pytest.mark.parametrize("nothing", [None, LayoutEdit(layout(A), layout(A))])
def test_a_video_that_one_round_made_right_is_asked_for_the_same_again(nothing):
    assert composed(SECOND_GOES, nothing) is SECOND_GOES
    assert composed(None, SECOND_GOES) is SECOND_GOES
    assert composed(None, None) is None
