"""``numina evaluate``: its options reach the runner, and its table shows the figures."""

import pytest
import typer
from typer.testing import CliRunner

from numina import evaluation
from numina.commands.evaluate import evaluate, table
from numina.evaluation import ClipScore, DetectorCounter, SpritesSuite, report
from numina.evaluation.clip_score import CLIP
from numina.evaluation.detectors import OWLV2
from numina.evaluation.pretrained import Place
from tests.evaluation.made_results import folder_of, rows

SUMMARY = {
    "methods": {
        "plain": {
            "count_acc": 0.4,
            "ci95": [0.3, 0.5],
            "temporal_consistency": 0.75,
            "additions_reached": 0.0,
            "removals_reached": None,
            "forwards": 1.0,
        },
        "one-pass": {
            "count_acc": 1.0,
            "ci95": [0.9, 1.0],
            "temporal_consistency": 1.0,
            "additions_reached": 0.8,
            "removals_reached": 1.0,
            "forwards": 1.6625,
        },
    }
}


@pytest.fixture
def ordered(monkeypatch):
    """What the command hands to the runner."""
    seen = []

    def run(*arguments):
        seen.append(arguments)
        return SUMMARY

    monkeypatch.setattr(evaluation, "evaluate", run)
    monkeypatch.setattr(report, "write_page", lambda folder, out=None: folder / "report.html")
    return seen


def call(*arguments):
    app = typer.Typer()
    app.command()(evaluate)
    return CliRunner().invoke(app, list(arguments))


def test_options_reach_the_runner(ordered, tmp_path):
    out = tmp_path / "out"
    result = call(
        *("--methods", "plain, one-pass", "--prompts", "12", "--seed", "500", "--workers", "3"),
        *("--model", str(tmp_path), "--steps", "7", "--out", str(out)),
    )
    assert result.exit_code == 0, result.output
    methods, suite, prompts, folder, workers, _, scorer, ranks = ordered[0]
    assert list(methods) == ["plain", "one-pass"]
    assert suite == SpritesSuite(500, tmp_path, (("num_inference_steps", 7),))
    assert (prompts, folder, workers, scorer, ranks) == (12, out, 3, None, None)
    assert str(out / "summary.json") in result.output
    assert str(out / "report.html") in result.output


def test_without_options_figures_are_those_to_report(ordered, tmp_path):
    assert call("--out", str(tmp_path)).exit_code == 0
    methods, suite, prompts, _, workers, *_ = ordered[0]
    assert list(methods) == ["plain", "paper", "robust", "one-pass", "oracle", "misplaced"]
    assert suite == SpritesSuite(100_000)
    assert prompts == 200
    assert workers >= 1


def test_unknown_methods_are_refused_with_a_list(ordered, tmp_path):
    result = call("--out", str(tmp_path), "--methods", "plain,magic")
    assert result.exit_code == 2
    assert "no method 'magic'" in " ".join(result.output.split())
    assert ordered == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--suite", "countbench", "--model", "x"), "needs all three"),
        (("--prompts-file", "x"), "sprites has no use for it"),
        (("--dtype", "float16"), "sprites has no use for it"),
        (("--model", "no/such"), "no/such is no folder"),
        (("--counter-model", "."), "the exact counter has none"),
        (("--suite", "true-sprites", "--model", "x"), "true-sprites has no use for it"),
        (("--suite", "true-sprites", "--steps", "3"), "true-sprites has no use for it"),
        (("--suite", "true-sprites", "--methods", "robust"), "true-sprites has no use for it"),
        (("--counter", "abacus"), "'abacus' is not one of"),
        (("--report", ".", "--strips", "2"), "it runs nothing; leave out all but --out"),
    ],
)
def test_options_that_do_not_go_together_are_refused(ordered, tmp_path, options, message):
    result = call("--out", str(tmp_path), *options)
    assert result.exit_code == 2
    words = result.output.replace("│", " ").split()
    assert message in " ".join(words)
    assert ordered == []


def test_a_detector_may_judge_the_sprites(ordered, tmp_path):
    result = call("--out", str(tmp_path), "--counter", "owlv2", "--device", "cpu")
    assert result.exit_code == 0, result.output
    suite = ordered[0][1]
    assert suite.counter == DetectorCounter(OWLV2, Place(None, "cpu"))


def test_the_pinned_clip_is_asked_for_by_its_name(ordered, tmp_path):
    assert call("--out", str(tmp_path), "--clip-model", CLIP.repo).exit_code == 0
    assert ordered[0][6] == ClipScore(Place())


def test_strips_are_drawn_by_what_was_evaluated(ordered, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(report, "keep_strips", lambda *arguments: drawn.append(arguments))
    assert call("--out", str(tmp_path), "--methods", "plain,robust").exit_code == 0
    assert drawn == []
    assert call("--out", str(tmp_path), "--methods", "robust", "--strips", "4").exit_code == 0
    folder, number, methods, suite, _ = drawn[0]
    assert (folder, number, suite) == (tmp_path, 4, SpritesSuite(100_000))
    assert list(methods) == ["robust"]


def test_a_report_of_results_runs_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(evaluation, "evaluate", lambda *_: pytest.fail("nothing is to be run"))
    folder, out = folder_of(tmp_path / "results", rows()), tmp_path / "out"
    result = call("--report", str(folder), "--out", str(out))
    assert result.exit_code == 0, result.output
    assert result.output.split() == [str(out / "report.html")]
    assert not (folder / "report.html").exists()
    assert call("--report", str(folder)).exit_code == 0
    assert (folder / "report.html").read_bytes() == (out / "report.html").read_bytes()


def test_without_a_folder_nothing_is_run(ordered):
    result = call("--methods", "plain")
    assert result.exit_code == 2
    assert "name a folder, or --report FOLDER" in " ".join(result.output.split())
    assert ordered == []


def test_scores_of_clip_get_a_column():
    figures = {name: {**made, "clip_score": 31.25} for name, made in SUMMARY["methods"].items()}
    lines = table({"methods": figures})
    assert lines[0].endswith("forwards      CLIP")
    assert lines[1].endswith("1.00 x     31.25")


def test_the_table_shows_the_figures_in_columns():
    assert table(SUMMARY) == [
        "          CountAcc      95 %        TC     added   removed  forwards",
        "plain         0.40 0.30-0.50      0.75      0.00         -    1.00 x",
        "one-pass      1.00 0.90-1.00      1.00      0.80      1.00    1.66 x",
    ]
