"""The tables of hard worlds, from a folder of results for each of them."""

import shutil

import pytest

from benchmarks.tables import RESULTS, filled
from numina.evaluation.hard_worlds import our_readers, published_readers
from numina.evaluation.identification import ReadClip, Reading
from numina.evaluation.lines import LineFile
from numina.evaluation.results import dump_json
from numina.sprites.hard_worlds import WORLDS

MANIFEST = {
    "seed": 7,
    "code": [{"commit": "0123456789", "dirty": False}],
    "versions": {"torch": "2.13.0", "diffusers": "0.42.1"},
}
# What three clips of two stars each are seen to hold at the noise levels .8 and .6; who is not
# named sees two.
SEEN = {
    "few": {"robust": ((2, 2), (2, 2), (1, 2)), "paper": ((9, 9),) * 3},
    "fast": {"robust": ((1, 1), (2, 2), (2, 2)), "robust-fragments": ((2, 4),) * 3},
}


@pytest.fixture
def root(tmp_path):
    for world, seen in SEEN.items():
        folder = tmp_path / RESULTS / "hard-worlds" / world
        write(folder, seen, our_readers(), 3)
        write(folder / "published", seen, published_readers(WORLDS[world]), 2)
    return tmp_path


def write(folder, seen, readers, clips):
    folder.mkdir(parents=True)
    with LineFile(folder / "results.jsonl", ReadClip) as file:
        for seed in range(clips):
            readings = tuple(
                Reading(name, step, noise, (count,), (3 * count,), (min(6, 3 * count),))
                for step, noise in enumerate((0.8, 0.6))
                for name in readers
                for count in [seen.get(name, ((2, 2),) * 3)[seed][step]]
            )
            file.append(ReadClip(seed, "two stars", ("stars",), (2,), ((2, 2),), (6,), readings))
    summary = {"prompts": clips, "readers": {name: [] for name in readers}, "manifest": MANIFEST}
    (folder / "summary.json").write_bytes(dump_json(summary))


def table(root, kind, folder="hard-worlds", clips=10):
    text = f"<!-- table:{folder} {kind} -->\n<!-- /table -->\n"
    lines = filled(text, root).splitlines()
    assert lines[-2] == (
        f"<sub>From `benchmarks/results/cpu/{folder}`: {clips} clips, from seed 7 in every world; "
        "torch 2.13.0; diffusers 0.42.1; commit 01234567.</sub>"
    )
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:-3]]
    head, _, *body = rows
    return {row[0]: dict(zip(head[1:], row[1:], strict=True)) for row in body}


def test_worlds_are_told_at_the_verdict(root):
    found = table(root, "worlds")
    few, fast = found["the ordinary world, four at most"], found["fast motion"]
    assert few["robust: count, F1, found"] == "1.000, 1.000, 1.00 (3)"
    # Of 27 instances found 6 are true: F1 is 12 / 33. The published method read two clips.
    assert few["paper, published settings: count, F1, found"] == "0.000, 0.364, 4.50 (2)"
    # One of three clips is missing an instance in three frames.
    assert fast["robust: count, F1, found"] == "0.667, 0.889, 0.83 (3)"


def test_who_read_no_world_has_no_column_and_a_world_that_nobody_read_no_row(root):
    results = root / RESULTS
    (results / "hard-worlds-second").mkdir()
    (results / "hard-worlds" / "few").rename(results / "hard-worlds-second" / "few")
    shutil.rmtree(results / "hard-worlds-second" / "few" / "published")
    found = table(root, "worlds", "hard-worlds-second", clips=3)
    assert list(found) == ["the ordinary world, four at most"]
    assert list(found["the ordinary world, four at most"]) == [
        "robust: count, F1, found",
        "attention alone: count, F1, found",
    ]
    of_paper = table(root, "published", clips=5)
    assert list(of_paper) == ["fast motion"]
    assert all("paper" in title for title in of_paper["fast motion"])


def test_a_hardship_is_paired_with_the_same_scenes_without_it(root):
    found = table(root, "hardship")
    assert list(found) == ["fast motion"]
    assert found["fast motion"]["beside"] == "the ordinary world, four at most"
    assert found["fast motion"]["paper, published settings (95 %)"] == "+1.000 (+1.000 to +1.000)"
    assert found["fast motion"]["robust (95 %)"].startswith("-0.333 (")
    assert found["fast motion"]["attention alone (95 %)"] == "+0.000 (+0.000 to +0.000)"


def test_merging_is_paired_with_leaving_fragments_as_they_are(root):
    found = table(root, "merging")["fast motion"]
    cell = found["robust: found before, after; gain (95 %)"]
    assert cell.startswith("2.00, 0.83; +0.667 (")
    alone = found["attention alone: found before, after; gain (95 %)"]
    assert alone == "1.00, 1.00; +0.000 (+0.000 to +0.000)"


def test_levels_stand_side_by_side(root):
    found = table(root, "looks")
    assert list(found["fast motion"]) == ["0.80", "0.60"]
    assert found["the ordinary world, four at most"] == {
        "0.80": "0.667 / 1.000",
        "0.60": "1.000 / 1.000",
    }


def test_a_folder_without_worlds_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no world with a summary\.json"):
        filled("<!-- table:hard-worlds -->\n<!-- /table -->\n", tmp_path)
