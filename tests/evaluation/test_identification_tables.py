"""Tables and plot of identification against the noise level, from a folder of results."""

import json

import pytest

from benchmarks import identification
from benchmarks.identification_plot import write_plot
from benchmarks.identification_tables import settled
from benchmarks.tables import RESULTS, filled
from numina.errors import OutputError
from numina.evaluation.identification import ReadClip, Reading
from numina.evaluation.lines import LineFile
from numina.evaluation.noise_levels import figures
from numina.evaluation.results import dump_json

NAME = "sprites-read"
MANIFEST = {"seed": 7, "code": [None], "versions": {"torch": "2.13.0", "diffusers": "0.42.1"}}
# What four clips hold of stars, and what is seen of them at the noise levels .8 and .6.
HELD = ((2, 2), (2, 3), (12, 12), (4, 4))
SEEN = {"robust-verdict": ((1, None), (2, 3), (10, 10), (4, 4)), "paper": ((1, 2),) * 4}


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / RESULTS / NAME
    folder.mkdir(parents=True)
    clips = [
        ReadClip(
            *(seed, "stars", ("stars",), (2,), (held,), (4,)),
            tuple(
                Reading(name, step, noise, None if count is None else (count,), (4,), (step,))
                for step, noise in ((2, 0.8), (3, 0.6))
                for name, each in SEEN.items()
                for count in [each[seed][step - 2]]
            ),
        )
        for seed, held in enumerate(HELD)
    ]
    with LineFile(folder / "results.jsonl", ReadClip) as file:
        for clip in clips:
            file.append(clip)
    summary = {"prompts": 4, "readers": figures(clips), "manifest": MANIFEST}
    (folder / "summary.json").write_bytes(dump_json(summary))
    return tmp_path


def lines_of_kind(root, kind):
    text = f"<!-- table:{NAME} {kind} -->\n<!-- /table -->\n"
    lines = filled(text, root).splitlines()
    assert lines[-2].startswith(f"<sub>From `{RESULTS.as_posix()}/{NAME}/summary.json`: ")
    assert "4 prompts from seed 7" in lines[-2]
    return lines[1:-3]


def test_levels_stand_below_each_other_and_readers_side_by_side(root):
    head, _, *levels = lines_of_kind(root, "noise-levels")
    assert "robust, verdict of restart mode: count, F1" in head
    assert [line.partition(" (")[0] for line in levels] == ["| 0.80 | 0.250", "| 0.60 | 0.250"]
    # At .8 two of four matched, at .6 three, by each reader.
    assert [line.count("0.500 (0.500 to 0.500)") for line in levels] == [2, 0]
    assert [line.count("0.750 (0.750 to 0.750)") for line in levels] == [0, 2]


def test_counts_are_those_at_the_verdict_and_large_ones_share_a_column(root):
    head, _, verdict, paper = lines_of_kind(root, "noise-levels-counts")
    # A clip of two and three in half of its frames holds 2.5, which nobody sees.
    assert head == "|  | 2 (1) | 3 (1) | 4 (1) | 9 and more (1) |"
    assert verdict == "| robust, verdict of restart mode | 0.000 | 0.000 | 1.000 | 0.000 |"
    assert paper == "| paper, published settings | 1.000 | 0.000 | 0.000 | 0.000 |"


def test_a_confusion_counts_what_had_no_layout(root):
    head, _, *rows = lines_of_kind(root, "noise-levels-confusion")
    assert head.endswith("| 8 | 9 and more | no layout |")
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    found = {row[0]: {i - 1: cell for i, cell in enumerate(row) if i and cell} for row in cells}
    assert found == {"2": {10: "1"}, "3": {3: "1"}, "4": {4: "1"}, "9 and more": {9: "1"}}


def test_looks_that_agree_settle_a_verdict(root):
    head, _, *rows = lines_of_kind(root, "noise-levels-agreement")
    assert head.startswith("| robust, verdict of restart mode: noise level | there: step,")
    # Of the clips, which hold 2, 2.5, 12 and 4, the first look counts one right; its verdicts on
    # the first (1 seen) and the second (2 seen) are wrong. The later look misses the first as well.
    assert rows == ["| 0.80 | 2.00, 0.250, 0.500 | 3.00, 0.250, 0.750 |"]


def test_a_verdict_waits_for_the_first_two_looks_that_agree():
    looks = [
        Reading("robust", step, 0.9 - 0.1 * step, seen, (1,), (1,))
        for step, seen in enumerate([(1,), (2,), (2,), (3,)])
    ]
    assert settled(looks) is looks[2]
    assert settled(looks[2:]) is looks[3]


def test_the_plot_has_the_same_bytes_for_the_same_figures(root, tmp_path):
    folder, pictures = root / RESULTS / NAME, (tmp_path / "a.svg", tmp_path / "b.svg")
    for picture in pictures:
        write_plot(folder, picture)
    assert pictures[0].read_bytes() == pictures[1].read_bytes()
    first = pictures[0].read_text()
    assert "verdict of restart mode" in first
    summary = json.loads((folder / "summary.json").read_text())
    summary["readers"]["paper"][0]["f1"] = 0.1
    (folder / "summary.json").write_text(json.dumps(summary))
    write_plot(folder, pictures[1])
    assert pictures[1].read_text() != first


def test_the_command_draws_or_reads(root, tmp_path, monkeypatch, capsys):
    folder, asked = root / RESULTS / NAME, []
    picture = tmp_path / "c.svg"
    assert identification.main(["--out", str(folder), "--plot", str(picture)]) == 0
    assert picture.exists()
    summary = json.loads((folder / "summary.json").read_text())
    monkeypatch.setattr(
        identification, "read_noise_levels", lambda *given: asked.append(given) or summary
    )
    arguments = ["--out", str(folder), "--prompts", "3", "--seed", "5", "--levels", ".9", ".5"]
    assert identification.main(arguments) == 0
    suite, prompts, out, workers, levels = asked[0]
    assert (suite.seed, prompts, out, workers, levels) == (5, 3, folder, 1, [0.9, 0.5])
    assert "| 0.80 |" in capsys.readouterr().out
    with pytest.raises(OutputError, match=r"has no summary\.json"):
        identification.main(["--out", str(tmp_path), "--plot", str(picture)])
