"""The verdict claims what the counts show, and no more."""

import pytest
from report import made

from numina.report import judge
from numina.report.verdict import number_word


@pytest.mark.parametrize(
    ("before", "after", "sentence", "outcome"),
    [
        (2, 3, "the model drew two. numina added one.", "mended"),
        (5, 3, "the model drew five. numina removed two.", "mended"),
        (0, 3, "the model drew none. numina added three.", "mended"),
        ((2, 3, 3, 3, 3), 3, "the model drew two to three. numina steadied the count.", "mended"),
        (2, 2, "numina tried to add one, but the video shows two.", "wrong"),
        (2, 5, "numina tried to add one, but the video shows five.", "wrong"),
        (2, (3, 3, 3, 2, 2), "tried to add one; the video is right in 3 of 5 frames.", "wrong"),
        (3, 3, "numina guided it all the same, and the count stayed right.", "right"),
        (3, 4, "numina misread that and changed it, but the video shows four.", "wrong"),
    ],
)
def test_a_guided_run_is_judged_by_its_counts(before, after, sentence, outcome):
    verdict = judge(made.story(exact=(made.counted(before, after),)))
    assert verdict.sentence.startswith("Asked for three apples; ")
    assert verdict.sentence.endswith(sentence)
    assert verdict.outcome == outcome


def test_a_run_that_was_right_is_said_to_be_left_alone():
    story = made.story(decision="continued", exact=(made.counted(3, 3),))
    assert judge(story).done == "Nothing had to be changed."
    assert judge(story).outcome == "right"


def test_a_wrong_count_that_was_taken_for_right_is_admitted():
    verdict = judge(made.story(decision="continued", exact=(made.counted(2, 2),)))
    assert verdict.done == "numina took that for right and changed nothing."
    assert verdict.outcome == "wrong"


def test_an_unguided_run_says_why():
    story = made.story(
        decision="unguided", exact=(made.counted(2, 2),), reason="no usable layout was found"
    )
    assert judge(story).done == "numina changed nothing: no usable layout was found."


def test_a_planned_count_is_not_told_as_reached():
    verdict = judge(made.story(exact=None))
    assert verdict.found == "Asked for three apples; the model's layout showed two."
    assert verdict.done == "numina guided the run to three."
    assert verdict.outcome == "open"


def test_several_nouns_are_told_in_the_order_of_the_prompt():
    story = made.story(
        prompt="three apples and two stars",
        asked=(("apples", 3), ("stars", 2)),
        edit=made.addition((0, 0, 1), (0, 1)),
        exact=(made.counted(2, 3), made.counted(4, 2)),
    )
    assert judge(story).sentence == (
        "Asked for three apples and two stars; the model drew two and four. "
        "numina added one and removed two."
    )


def test_a_count_of_none_is_asked_for_in_words():
    story = made.story(asked=(("apples", 0),), exact=(made.counted(2, 0),))
    assert judge(story).sentence.startswith("Asked for no apples; the model drew two. numina remov")


def test_a_prompt_without_counts_has_its_own_verdict():
    story = made.story(prompt="a calm sea", asked=(), exact=(), decision="continued", looks=())
    assert judge(story).found == "Nothing to count in this prompt."


def test_a_run_without_looks_tells_its_reason():
    verdict = judge(made.story(exact=None, looks=(), decision="unguided", reason="out of memory"))
    assert verdict.sentence == "Asked for three apples; nothing could be counted. out of memory."


def test_large_numbers_are_figures():
    assert (number_word(12), number_word(13)) == ("twelve", "13")
