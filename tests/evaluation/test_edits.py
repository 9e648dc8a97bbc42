"""The benchmark of what becomes of an edit: fates, distances, image errors and shares."""

import json

import numpy as np
import pytest

from benchmarks.edits import fates, image_errors, nearest, present, summary_of
from benchmarks.tables import RESULTS, filled
from numina.identify.tracks import Tracks
from numina.layout import LayoutEdit
from tests.four_places import COLUMNS, FRAMES, ROWS, A, B, C, D, layout

# The second goes, and a third one comes.
EDIT = LayoutEdit(layout(A, B), layout(A, None, C), added=(3,), removed=(2,), templates=(1,))


def told(there):
    return {row["fate"]: row["done"] for row in fates(EDIT, there)}


@pytest.mark.parametrize(
    ("there", "done"),
    [
        (layout(A, C), {"kept": 1, "added": 1, "removed": 1}),
        (layout(C, A), {"kept": 1, "added": 1, "removed": 1}),
        (layout(A, B), {"kept": 1, "added": 0, "removed": 0}),
        (layout(D), {"kept": 0, "added": 0, "removed": 1}),
        # Of another noun, nothing is what was asked for, and nothing is left of what was removed.
        (layout(A, B, C, nouns=(0, 1, 1)), {"kept": 1, "added": 0, "removed": 1}),
    ],
)
def test_an_instance_has_the_fate_that_was_asked_for(there, done):
    assert told(there) == done


def test_what_comes_in_one_frame_of_three_has_come_for_a_third():
    there = layout(A, C)
    there.labels[1:, :, 12:] = 0
    assert told(there) == {"kept": 1, "added": pytest.approx(1 / 3), "removed": 1}


def test_what_was_asked_for_may_reach_into_the_place_of_what_was_removed():
    assert told(layout(A, np.s_[:, 2:4, 9:18]))["removed"] == 1


def test_rows_tell_size_and_distance():
    rows = {row["fate"]: row for row in fates(EDIT, layout(A, C))}
    assert {row["patches"] for row in rows.values()} == {6}
    assert rows["added"]["distance"] == rows["kept"]["distance"] == 12
    assert rows["removed"]["distance"] == 6
    assert nearest(layout(A, B, D), 1) == 6
    assert nearest(layout(A), 1) is None


def test_brief_sightings_are_there():
    long, brief = layout(A), layout(B)
    assert present(Tracks.of(long, brief)).count_per_frame(0).tolist() == [2] * FRAMES


def test_the_picture_is_compared_outside_of_the_edit():
    plain = np.zeros((5, 4 * ROWS, 4 * COLUMNS, 3), np.float32)
    guided = plain.copy()
    guided[3:, :, 28:64] = 0.5  # the last latent frame, from the removed to the added one
    found = image_errors(EDIT, plain, guided)
    rows, columns = 4 / ROWS, (5 + 5) / COLUMNS
    assert found["edited"] == pytest.approx(rows * columns)
    assert 0 < found["outside"] < found["inside"] < 0.5
    # Two of five frames belong to that latent frame.
    assert image_errors(EDIT, plain, plain + 0.25)["outside"] == pytest.approx(0.25)


def test_shares_are_by_way_fate_size_and_distance():
    rows = [
        {"way": "oracle", "fate": "added", "patches": 4.0, "distance": 3.0, "done": 1.0},
        {"way": "oracle", "fate": "added", "patches": 9.0, "distance": None, "done": 0.5},
        {"way": "oracle", "fate": "image", "inside": 0.2, "outside": 0.1},
    ]
    added = {"way": "oracle", "fate": "added"}
    assert summary_of(rows) == [
        {**added, "of": "all", "instances": 2, "done": 0.75},
        {**added, "of": "patches below 7", "instances": 1, "done": 1.0},
        {**added, "of": "patches from 7", "instances": 1, "done": 0.5},
        {**added, "of": "distance below 4", "instances": 1, "done": 1.0},
        {"way": "oracle", "fate": "image", "of": "all", "clips": 1, "inside": 0.2, "outside": 0.1},
    ]


def test_the_table_has_a_line_for_each_way_and_fate(tmp_path):
    rows = [
        {
            "seed": 7,
            "way": "oracle",
            "fate": "added",
            "patches": 4.0,
            "distance": None,
            "done": 0.5,
        },
        {"seed": 7, "way": "oracle", "fate": "image", "inside": 0.25, "outside": 0.0125},
    ]
    file = {
        "seed": 7,
        "commit": {"commit": "0123456789abcdef", "dirty": True},
        "versions": {"torch": "2.13.0", "diffusers": "0.42.1"},
        "summary": summary_of(rows),
        "rows": rows,
    }
    (tmp_path / RESULTS).mkdir(parents=True)
    (tmp_path / RESULTS / "edits-again.json").write_text(json.dumps(file))
    lines = filled("<!-- table:edits-again -->\n<!-- /table -->\n", tmp_path).splitlines()
    assert lines[3] == (
        "| true layout of the plain clip | added ones came | 0.50 (1) | 0.50 (1) |  |  |  |"
    )
    assert "| 0.0125 outside of the edit, 0.2500 inside |" in lines[4]
    assert "1 clips whose plain count is wrong, from seed 7;" in lines[-2]
    assert lines[-2].endswith("commit 01234567+.</sub>")
