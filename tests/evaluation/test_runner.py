"""The runner: every result once, whatever happens in between."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from numina.errors import FormatError
from numina.evaluation import EvaluationError, Plain, evaluate
from numina.evaluation.results import FAILURES, MANIFEST, RESULTS, SUMMARY, rows_of
from tests.evaluation.made import Buggy, Dying, MadePipe, MadeSuite, Offset, Refusing

ROOT = Path(__file__).parents[2]
METHODS = {"good": Offset(), "worse": Offset(by=1)}


def keys(folder):
    return [(row.seed, row.method) for row in rows_of(folder)]


def silent(line):
    pass


def run(methods, folder, cases=4, suite=None, **options):
    return evaluate(methods, suite or MadeSuite(), cases, folder, say=silent, **options)


def test_every_case_is_run_under_every_method_and_plainly(tmp_path):
    summary = run(METHODS, tmp_path)
    expected = [(seed, name) for seed in range(10, 14) for name in ("plain", "good", "worse")]
    assert keys(tmp_path) == expected
    assert json.loads((tmp_path / SUMMARY).read_text()) == summary


def test_the_summary_has_the_figures_that_were_drawn(tmp_path):
    summary = run(METHODS, tmp_path)
    plain, good, worse = (summary["methods"][name] for name in ("plain", "good", "worse"))
    assert [plain["count_acc"], good["count_acc"], worse["count_acc"]] == [0.5, 1.0, 0.5]
    assert good["ci95"] == [1.0, 1.0]
    assert good["n"] == 4
    assert good["temporal_consistency"] == 1.0
    assert good["additions_reached"] == 1.0
    assert good["removals_reached"] is None
    assert plain["additions_reached"] == 0.0
    # Targets 1, 2, 3, 1 of the first noun, always missed plainly, and 2 of the second.
    assert plain["by_count"] == {"1": 0.0, "2": 0.8, "3": 0.0}
    assert good["identified"] == 0.5
    # Four forwards plainly, two in a clip of ours.
    assert plain["forwards_per_prompt"] == 4.0
    assert good["forwards"] == 0.5
    assert summary["paired"]["good-plain"] == {"gain": 0.5, "ci95": [0.5, 0.5]}
    assert summary["paired"]["worse-plain"]["gain"] == 0.0


def test_the_summary_says_what_it_rests_on_and_nothing_of_the_machine(tmp_path):
    run(METHODS, tmp_path)
    text = (tmp_path / SUMMARY).read_text()
    manifest = json.loads(text)["manifest"]
    assert manifest["model"] == "made"
    assert manifest["methods"]["worse"] == repr(Offset(by=1))
    assert manifest["versions"]["torch"] == torch.__version__
    for secret in (str(tmp_path), str(ROOT), os.uname().nodename, os.environ.get("USER", "root@")):
        assert secret not in text


def test_a_finished_run_generates_nothing_again(tmp_path, monkeypatch):
    first = run(METHODS, tmp_path)
    monkeypatch.setattr(MadeSuite, "load", lambda suite: pytest.fail("nothing is left to do"))
    assert run(METHODS, tmp_path) == first


def test_more_cases_and_methods_extend_a_run(tmp_path):
    run({"good": Offset()}, tmp_path, cases=2)
    before = (tmp_path / RESULTS).read_bytes()
    summary = run(METHODS, tmp_path, cases=3)
    assert (tmp_path / RESULTS).read_bytes().startswith(before)
    assert len(set(keys(tmp_path))) == len(keys(tmp_path)) == 9
    assert summary["methods"]["worse"]["n"] == 3


def test_the_plain_clip_is_made_once_for_all_that_need_it(tmp_path, monkeypatch):
    pipe = MadePipe()
    monkeypatch.setattr(MadeSuite, "load", lambda suite: pipe)
    run({"a": Offset(needs_plain=True), "b": Offset(needs_plain=True)}, tmp_path, cases=2)
    assert pipe.calls == 2
    # Added later, a control gets the clip made again, without a second result of it.
    run({"c": Offset(needs_plain=True)}, tmp_path, cases=2)
    assert pipe.calls == 4
    assert keys(tmp_path).count((10, "plain")) == 1


def test_a_plain_clip_that_comes_out_otherwise_is_an_error(tmp_path):
    run({}, tmp_path, cases=1)
    path = tmp_path / RESULTS
    path.write_text(path.read_text().replace("[0, 0, 0]", "[7, 7, 7]"))
    with pytest.raises(EvaluationError, match="differs from the one counted before"):
        run({"control": Offset(needs_plain=True)}, tmp_path, cases=1)
    assert keys(tmp_path) == [(10, "plain")]


def test_a_clip_that_fails_or_is_broken_is_an_error_and_never_a_zero(tmp_path):
    with pytest.raises(EvaluationError, match="2 results could not be made"):
        run({"refusing": Refusing(), "good": Offset()}, tmp_path)
    # The run went on: all others are there, and no summary claims to know.
    assert len(keys(tmp_path)) == 4 * 3 - 2
    assert not {(11, "refusing"), (12, "refusing")} & set(keys(tmp_path))
    assert not (tmp_path / SUMMARY).exists()
    failures = [json.loads(line) for line in (tmp_path / FAILURES).read_text().splitlines()]
    assert failures == [
        {
            "seed": 11,
            "method": "refusing",
            "error": "EvaluationError: the clip has pixels that are not finite",
        },
        {"seed": 12, "method": "refusing", "error": "TargetError: 3 do not fit"},
    ]


def test_what_failed_is_tried_again_the_next_time(tmp_path):
    with pytest.raises(EvaluationError):
        run({"refusing": Refusing()}, tmp_path)
    summary = run({"refusing": Refusing(mended=True)}, tmp_path)
    assert summary["methods"]["refusing"]["count_acc"] == 1.0
    assert len(set(keys(tmp_path))) == len(keys(tmp_path)) == 8


def test_a_bug_ends_the_run_with_its_own_traceback(tmp_path):
    with pytest.raises(ZeroDivisionError, match="a bug"):
        run({"buggy": Buggy()}, tmp_path)


def test_results_of_other_settings_are_not_mixed(tmp_path):
    run(METHODS, tmp_path, cases=1)
    with pytest.raises(FormatError, match="another model"):
        run(METHODS, tmp_path, cases=1, suite=MadeSuite(model="other"))
    with pytest.raises(FormatError, match="another seed"):
        run(METHODS, tmp_path, cases=1, suite=MadeSuite(seed=11))
    with pytest.raises(FormatError, match="another good"):
        run({"good": Offset(by=2)}, tmp_path, cases=1)


def test_impossible_orders_are_refused(tmp_path):
    for options in ({"cases": 0}, {"workers": 0}):
        with pytest.raises(ValueError, match="at least 1"):
            run(METHODS, tmp_path, **options)
    with pytest.raises(ValueError, match="belongs to the plain run"):
        run({"plain": Offset()}, tmp_path)
    assert not (tmp_path / MANIFEST).exists()


def test_the_thread_count_of_the_caller_comes_back(tmp_path):
    torch.set_num_threads(2)
    run(METHODS, tmp_path, cases=1)
    assert torch.get_num_threads() == 2


def test_progress_is_one_line_per_case_with_running_means(tmp_path):
    lines: list[str] = []
    evaluate({"plain": Plain(), **METHODS}, MadeSuite(), 2, tmp_path, say=lines.append)
    assert len(lines) == 2
    assert lines[1].startswith("2/2  plain 0.500  good 1.000  worse 0.500")


@pytest.mark.slow
def test_processes_give_the_same_results_and_fail_aloud(tmp_path):
    alone, spread = tmp_path / "alone", tmp_path / "spread"
    first = run(METHODS, alone, cases=5)
    second = run(METHODS, spread, cases=5, workers=2)
    assert sorted(keys(alone)) == sorted(keys(spread))
    assert first["methods"] == second["methods"] | {
        name: figures | {"seconds_per_prompt": first["methods"][name]["seconds_per_prompt"]}
        for name, figures in second["methods"].items()
    }
    with pytest.raises(EvaluationError, match="exit code 9"):
        run({"dying": Dying()}, spread, cases=1, workers=2)
    with pytest.raises(EvaluationError, match="ZeroDivisionError: a bug"):
        run({"buggy": Buggy()}, spread, cases=1, workers=2)


KILLED = """
import sys
from pathlib import Path
from numina.evaluation import evaluate
from tests.evaluation.made import MadeSuite, Offset

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    methods = {"good": Offset(seconds=0.1), "worse": Offset(by=1, seconds=0.1)}
    evaluate(methods, MadeSuite(pids=folder / "pids"), 40, folder, workers=int(sys.argv[2]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_run_resumes_with_nothing_lost_and_nothing_twice(tmp_path, workers):
    pids, script = tmp_path / "pids", tmp_path / "killed.py"
    pids.mkdir()
    script.write_text(KILLED)
    process = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path), str(workers)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
    )
    results = tmp_path / RESULTS
    _wait_until(lambda: results.exists() and results.read_bytes().count(b"\n") >= 7)
    process.send_signal(signal.SIGKILL)
    process.wait()
    whole = results.read_bytes()
    kept = whole[: whole.rfind(b"\n") + 1]
    assert kept.count(b"\n") < 120
    _wait_until(lambda: not any(_lives(int(pid.name)) for pid in pids.iterdir()))

    results.write_bytes(kept + b'{"seed": 49, "method": "go')
    methods = {"good": Offset(seconds=0.1), "worse": Offset(by=1, seconds=0.1)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "sleep", silent)
        summary = run(methods, tmp_path, cases=40)
    assert results.read_bytes().startswith(kept)
    assert sorted(keys(tmp_path)) == sorted(
        (seed, name) for seed in range(10, 50) for name in ("plain", "good", "worse")
    )
    assert summary["methods"]["good"]["n"] == 40


def _wait_until(condition, seconds=240):
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds, "it never happened"
        time.sleep(0.02)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not (state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z")
