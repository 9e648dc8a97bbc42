"""The benchmark of two groups of one noun: its cases, its choices of tokens, its shares."""

import pytest

from benchmarks.attribute_groups import GROUPS, TOKENS, case_of, summary_of
from numina.prompt.counts import parse_counts


@pytest.mark.parametrize("seed", [0, 1, 100_000])
def test_a_case_has_both_groups_and_is_its_seeds(seed):
    case = case_of(seed)
    assert set(GROUPS) <= set(case.nouns)
    assert case == case_of(seed)
    read = {target.phrase: target.count for target in parse_counts(case.prompt)}
    assert list(read.values()) == list(case.targets)
    assert sum("ball" in phrase for phrase in read) == 2


def test_tokens_are_chosen_by_what_they_say():
    group = [7, 8, 9]  # numeral, attribute, noun
    chosen = {name: [choose(place, group) for place in range(2)] for name, choose in TOKENS.items()}
    assert chosen == {
        "phrase": [[7, 8, 9], [7, 8, 9]],
        "attribute": [[8], [8]],
        "noun": [[9], [9]],
        "shared noun": [[7, 8], [7, 8, 9]],
    }


def test_shares_are_those_of_all_groups_and_balls():
    row = {"noise": 0.6, "tokens": "phrase"}
    rows = [
        {**row, "held": [2.0, 3.0], "seen": [2, 3], "owned": 15, "found": 15},
        # One ball of the wrong colour is two wrong groups, and a right number of balls.
        {**row, "held": [2.0, 3.0], "seen": [1, 4], "owned": 12, "found": 15},
    ]
    (shares,) = summary_of(rows)
    assert (shares["noise"], shares["tokens"], shares["clips"]) == (0.6, "phrase", 2)
    assert shares["groups counted right"] == 0.5
    assert shares["balls counted right"] == 1.0
    assert shares["owned"] == 0.9
