"""The summary: complete or not at all, with every gain paired over the same prompts."""

import pytest

from numina.evaluation import EvaluationError, summarise
from numina.evaluation.results import Row

# Accuracy of three prompts for two things, in tenths, by the number of right frames out of ten.
SHARES = {
    "plain": (0, 5, 10),
    "paper": (2, 5, 10),
    "robust": (10, 10, 10),
    "misplaced": (5, 5, 5),
}


def row(seed, method, right, **changes) -> Row:
    fields = {
        "seed": seed,
        "method": method,
        "prompt": "two apples drifting left",
        "nouns": ("apples",),
        "targets": (2,),
        "counts": ((2,) * right + (3,) * (10 - right),),
        "forwards": 40.0 if method == "plain" else 60.0,
        "seconds": 1.0,
        "decision": "plain" if method == "plain" else "guided",
        "seen": () if method == "plain" else ((3,),),
    }
    return Row(**{**fields, **changes})


ROWS = [
    row(seed, method, right)
    for method, rights in SHARES.items()
    for seed, right in enumerate(rights)
]


def test_every_method_is_compared_with_plain_and_the_better_ones_with_their_rivals():
    paired = summarise(ROWS, list(SHARES), range(3))["paired"]
    assert set(paired) == {
        "paper-plain",
        "robust-plain",
        "misplaced-plain",
        "robust-paper",
        "robust-misplaced",
    }
    assert paired["robust-plain"]["gain"] == pytest.approx((1.0 + 0.5 + 0.0) / 3)
    assert paired["robust-paper"]["gain"] == pytest.approx((0.8 + 0.5 + 0.0) / 3)
    low, high = paired["robust-plain"]["ci95"]
    # With three prompts a resample may hold the same one three times.
    assert (low, high) == (0.0, 1.0)


def test_removals_forwards_decisions_and_identification_are_told():
    figures = summarise(ROWS, list(SHARES), range(3))["methods"]
    # Too many by the median: the first prompt (3) and the second (2.5); robust mends both.
    assert figures["robust"]["removals_reached"] == 1.0
    assert figures["paper"]["removals_reached"] == 0.0
    assert figures["robust"]["additions_reached"] is None
    assert figures["robust"]["forwards"] == 1.5
    assert figures["robust"]["decisions"] == {"guided": 3}
    # It saw three things each time; the plain clips show 3, 2.5 and 2.
    assert figures["robust"]["identified"] == pytest.approx(1 / 3)
    assert figures["plain"]["identified"] is None


def test_a_missing_result_is_an_error_and_no_average_of_the_rest():
    kept = [each for each in ROWS if (each.seed, each.method) != (1, "paper")]
    with pytest.raises(EvaluationError, match="1 of 12 results are missing"):
        summarise(kept, list(SHARES), range(3))
    with pytest.raises(EvaluationError, match="4 of 16 results are missing"):
        summarise(ROWS, list(SHARES), range(4))


def test_a_summary_without_the_plain_run_is_an_error():
    with pytest.raises(EvaluationError, match="plain run"):
        summarise(ROWS, ["paper", "robust"], range(3))


def test_results_of_other_prompts_and_methods_are_left_aside():
    some = summarise(ROWS, ["plain", "robust"], [0, 1])
    assert list(some["methods"]) == ["plain", "robust"]
    assert some["methods"]["plain"]["count_acc"] == 0.25
    assert some["methods"]["plain"]["n"] == 2


def test_removals_are_compared_with_those_in_wrong_places_prompt_by_prompt():
    summary = summarise(ROWS, list(SHARES), range(3))
    # The plain run has too many of something in two prompts (3 and 2.5 of 2). Robust mends both;
    # in wrong places the median is 2.5 each time.
    assert summary["removals"] == {
        "robust-misplaced": {"gain": 1.0, "ci95": [1.0, 1.0], "n": 2},
    }
    assert summarise(ROWS, ["plain", "robust"], range(3))["removals"] == {}
