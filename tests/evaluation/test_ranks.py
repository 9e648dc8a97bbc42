"""Ranks of a launcher: cases divided among them, every result once, and one summary."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from torch.distributed import HashStore

from numina.evaluation import EvaluationError, evaluate
from numina.evaluation.ranks import Ranks
from numina.evaluation.results import FAILURES, RESULTS, SUMMARY, rank_file, rows_of
from tests.evaluation.made import MadeSuite, Offset, Refusing

ROOT = Path(__file__).parents[2]
METHODS = {"good": Offset(seconds=0.02), "worse": Offset(by=1)}
NAMES = ("plain", *METHODS)


def together(methods, folder, cases, number=2):
    """What each of several ranks gets, or the error it ends with; here they are threads."""
    store = HashStore()

    def one(rank):
        try:
            return evaluate(
                *(methods, MadeSuite(), cases, folder),
                say=lambda line: None,
                ranks=Ranks(store, rank, number),
            )
        except EvaluationError as error:
            return str(error)

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(one, range(number)))


def keys(folder):
    return sorted((row.seed, row.method) for row in rows_of(folder))


def expected(cases):
    return sorted((seed, name) for seed in range(10, 10 + cases) for name in NAMES)


def without_seconds(summary):
    for figures in summary["methods"].values():
        del figures["seconds_per_prompt"]
    return summary["methods"], summary["paired"]


def test_each_job_falls_to_one_rank_when_it_asks():
    store, jobs = HashStore(), ["a", "b", "c", "d"]
    first, second = (Ranks(store, rank, 2).share(jobs) for rank in (0, 1))
    taken = [next(first), next(second), next(second), next(first)]
    assert taken == jobs
    assert (list(first), list(second)) == ([], [])
    assert [Ranks(store, rank, 2).finished() for rank in (0, 1, 1)] == [1, 2, 3]


def test_ranks_make_what_one_process_makes_and_every_result_once(tmp_path):
    alone, divided = tmp_path / "alone", tmp_path / "divided"
    summaries = together(METHODS, divided, cases=7)
    assert summaries[0] == summaries[1] == json.loads((divided / SUMMARY).read_text())
    assert keys(divided) == expected(7)
    assert not list(divided.glob("results-rank*"))
    single = evaluate(METHODS, MadeSuite(), 7, alone, say=lambda line: None)
    assert without_seconds(single) == without_seconds(summaries[0])


def test_what_is_there_is_not_made_again(tmp_path, monkeypatch):
    together(METHODS, tmp_path, cases=3)
    before = (tmp_path / RESULTS).read_bytes()
    together(METHODS, tmp_path, cases=5, number=3)
    assert (tmp_path / RESULTS).read_bytes().startswith(before)
    assert keys(tmp_path) == expected(5)
    monkeypatch.setattr(MadeSuite, "load", lambda suite: pytest.fail("nothing is left to do"))
    assert together(METHODS, tmp_path, cases=5)[1]["prompts"] == 5


def test_rows_of_a_killed_rank_are_taken_over_once_and_its_torn_line_is_not(tmp_path):
    evaluate(METHODS, MadeSuite(), 4, tmp_path, say=lambda line: None)
    lines = (tmp_path / RESULTS).read_bytes().splitlines(keepends=True)
    kept, lost = lines[:5], lines[4:9]
    (tmp_path / RESULTS).write_bytes(b"".join(kept))
    # The fifth was taken over before the kill, the ninth was being written.
    (tmp_path / rank_file(1)).write_bytes(b"".join(lost)[:-20])
    evaluate(METHODS, MadeSuite(), 4, tmp_path, say=lambda line: None)
    assert (tmp_path / RESULTS).read_bytes().startswith(b"".join(lines[:8]))
    assert keys(tmp_path) == expected(4)
    assert not (tmp_path / rank_file(1)).exists()


def test_what_one_rank_could_not_make_is_an_error_of_all(tmp_path):
    ends = together({"refusing": Refusing(), "good": Offset()}, tmp_path, cases=6)
    assert ends[0] == ends[1]
    # The cases ask for 1, 2, 3, 1, 2 and 3 things.
    assert "4 results could not be made" in ends[0]
    assert len((tmp_path / FAILURES).read_bytes().splitlines()) == 4
    assert not (tmp_path / SUMMARY).exists()
    assert len(rows_of(tmp_path)) == 6 * 3 - 4


def test_without_a_launcher_there_are_no_ranks(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert Ranks.joined() is None
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert Ranks.joined() is None


def launched(*arguments):
    """The end of a command under ``torchrun`` with two ranks."""
    return subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc-per-node", "2", *map(str, arguments)),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )


@pytest.mark.slow
def test_the_command_divides_its_cases_under_torchrun(tmp_path):
    order = ("-m", "numina", "evaluate", "--suite", "true-sprites", "--prompts", "5")
    done = launched(*order, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(rows_of(tmp_path)) == 5
    assert json.loads((tmp_path / SUMMARY).read_text())["prompts"] == 5
    assert not (tmp_path / rank_file(1)).exists()
    # Both say what they finish, one tells the end.
    assert done.stdout.count("counted right") == 1
    assert " 5/5 " in done.stderr
    again = launched(*order, "--out", tmp_path, "--workers", "2")
    assert again.returncode != 0
    assert "2 processes were launched" in " ".join(again.stderr.split())


SCRIPT = """
import sys
from pathlib import Path
from numina.evaluation import evaluate
from numina.evaluation.ranks import Ranks
from tests.evaluation.made import Buggy, MadeSuite, Offset

folder = Path(sys.argv[1])
ranks = Ranks.joined()
methods = {"slow": Offset(seconds=0.2)}
if sys.argv[2] == "buggy" and ranks.rank == 1:
    methods = {"slow": Buggy()}
evaluate(methods, MadeSuite(pids=folder), 20, folder / "out", ranks=ranks)
"""


@pytest.mark.slow
def test_both_ranks_work_and_one_that_fails_ends_the_command_with_its_trace(tmp_path):
    script = tmp_path / "made_run.py"
    script.write_text(SCRIPT)
    failed = launched(script, tmp_path, "buggy")
    assert failed.returncode != 0
    assert "ZeroDivisionError: a bug" in failed.stderr
    assert not (tmp_path / "out" / SUMMARY).exists()
    for pid in tmp_path.glob("[0-9]*"):
        pid.unlink()
    done = launched(script, tmp_path, "whole")
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.glob("[0-9]*"))) == 2
    assert len(rows_of(tmp_path / "out")) == 40
