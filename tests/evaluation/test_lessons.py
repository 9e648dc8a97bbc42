"""Which cases teach: exact lessons, in an order that anyone can follow."""

from numina.evaluation.report.lessons import Lesson, chosen, instances
from tests.evaluation.made_results import row, rows


def by_method(results):
    table = {}
    for each in results:
        table.setdefault(each.method, []).append(each)
    return table


def seeds(cases):
    return [case.seed for case in cases]


def test_a_case_is_mended_broken_or_missed_by_its_exact_counts():
    found = instances(by_method(rows()), "robust")
    # Of equal gaps the one with more things comes first, then the lower seed.
    assert seeds(found[Lesson.MENDED]) == [102, 105, 100]
    assert seeds(found[Lesson.BROKEN]) == [103]
    assert seeds(found[Lesson.MISSED]) == [104]
    assert [each.method for each in found[Lesson.MENDED][0].rows] == ["plain", "robust"]
    assert [each.method for each in found[Lesson.MISSED][0].rows] == ["plain", "robust", "oracle"]


def test_one_wrong_frame_is_wrong_and_a_larger_gap_comes_first():
    table = by_method(
        [
            row("plain", 1, 3, (3, 3, 2)),
            row("plain", 2, 3, (3, 2, 2)),
            row("robust", 1, 3, 3),
            row("robust", 2, 3, 3),
        ]
    )
    assert seeds(instances(table, "robust")[Lesson.MENDED]) == [2, 1]
    assert instances(table, "robust")[Lesson.MENDED][1].gap == 1 - 2 / 3


def test_what_was_wrong_before_is_not_said_to_be_broken():
    table = by_method([row("plain", 1, 3, (3, 3, 2)), row("robust", 1, 3, 2)])
    assert instances(table, "robust") == {Lesson.MENDED: (), Lesson.BROKEN: ()}


def test_without_an_oracle_nothing_is_said_to_be_missed():
    table = by_method(each for each in rows() if each.method != "oracle")
    assert set(instances(table, "robust")) == {Lesson.MENDED, Lesson.BROKEN}


def test_lessons_take_turns_until_the_number_is_reached():
    found = instances(by_method(rows()), "robust")
    assert seeds(chosen(found, 4)) == [102, 103, 104, 105]
    assert seeds(chosen(found, 99)) == [102, 103, 104, 105, 100]
    assert chosen(found, 0) == ()
    assert chosen(dict.fromkeys(Lesson, ()), 3) == ()
