"""The benchmark of crowds: its cases, shares and table."""

import json

from benchmarks.crowds import COUNTS, case_of, summary_of
from benchmarks.tables import RESULTS, filled
from numina.prompt.counts import parse_counts
from numina.sprites.world import MAX_COUNT


def test_cases_ask_for_more_than_the_model_has_learned_and_all_counts_in_turn():
    cases = [case_of(seed) for seed in range(100_000, 100_000 + len(COUNTS))]
    assert cases == [case_of(seed) for seed in range(100_000, 100_000 + len(COUNTS))]
    assert sorted(case.targets[0] for case in cases) == sorted(COUNTS.values())
    assert min(COUNTS.values()) == MAX_COUNT + 1
    for case in cases:
        (target,) = parse_counts(case.prompt)
        assert (target.count,) == case.targets
        assert case.nouns[0].endswith(target.noun)


ROWS = [
    {"seed": 0, "asked": 9, "way": "plain", "decision": "plain", "counts": [8, 8]},
    {"seed": 0, "asked": 9, "way": "restart", "decision": "guided", "counts": [9, 8]},
    {"seed": 1, "asked": 16, "way": "plain", "decision": "plain", "counts": [16, 8]},
    {"seed": 1, "asked": 16, "way": "restart", "decision": "unguided", "counts": [16, 8]},
]


def test_shares_are_of_all_frames_also_where_nothing_could_be_done():
    assert summary_of(ROWS) == [
        {"way": "plain", "clips": 2, "unguided": 0, "right": 0.25, "error": 2.5},
        {"way": "restart", "clips": 2, "unguided": 1, "right": 0.5, "error": 2.25},
    ]


def test_the_table_has_a_line_for_every_way(tmp_path):
    versions = {"torch": "2.13.0", "diffusers": "0.42.1"}
    file = {"seed": 100_000, "commit": None, "versions": versions, "clips": 2}
    (tmp_path / RESULTS).mkdir(parents=True)
    path = tmp_path / RESULTS / "crowds-again.json"
    path.write_text(json.dumps({**file, "summary": summary_of(ROWS), "rows": ROWS}))
    lines = filled("<!-- table:crowds-again -->\n<!-- /table -->\n", tmp_path).splitlines()
    assert lines[3:5] == ["| plain | 0.25 | 2.50 | 0 of 2 |", "| restart | 0.50 | 2.25 | 1 of 2 |"]
    assert "2 clips, from seed 100000; torch 2.13.0" in lines[-2]
