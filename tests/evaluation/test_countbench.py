"""CountBench files on a saved pipeline of the real classes, from the prompts to the summary."""

import json
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from numina import cli
from numina.errors import FormatError
from numina.evaluation import (
    CountBenchSuite,
    EvaluationError,
    PipelineSource,
    Plain,
    evaluate,
)
from numina.evaluation.methods import METHODS, BestOfSeeds
from numina.evaluation.prompt_files import CountedPrompt, dump_counted_prompts
from numina.evaluation.report import PAGE
from numina.evaluation.results import FAILURES, RESULTS, SUMMARY, rows_of
from tests.evaluation.tiny_networks import save_clip, save_owlv2
from tests.tiny_wan import tiny_wan

PROMPTS = (
    CountedPrompt("three cats and two dogs playing on the grass", (("cats", 3), ("dogs", 2))),
    # No number is said: methods are told it.
    CountedPrompt("birds at the beach", (("birds", 4),)),
    CountedPrompt("one red ball on the table", (("ball", 1),)),
)
SETTINGS = {
    "num_inference_steps": 4,
    "num_frames": 9,
    "height": 32,
    "width": 32,
    "max_sequence_length": 16,
}


@dataclass
class MadeCounter:
    """Counts what the brightness of each frame says; stops the run at a call of choice."""

    stop_at: int | None = None
    calls: list[tuple[str, ...]] = field(default_factory=list)

    def describe(self) -> dict[str, Any]:
        return {"name": "made"}

    def prepare(self) -> None:
        pass

    def count(self, frames, nouns):
        if not np.isfinite(frames).all():
            raise EvaluationError("the clip has pixels that are not finite")
        self.calls.append(tuple(nouns))
        if len(self.calls) == self.stop_at:
            raise KeyboardInterrupt
        bright = np.round(frames.mean(axis=(1, 2, 3)) * 50).astype(np.int64)
        return np.stack([bright + index for index in range(len(nouns))])


@pytest.fixture(scope="module")
def wan(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wan")
    tiny_wan().save_pretrained(folder)
    return str(folder)


@pytest.fixture
def suite(wan):
    source = PipelineSource(wan, device="cpu")
    return CountBenchSuite(PROMPTS, source, MadeCounter(), 7, tuple(SETTINGS.items()))


def run(methods, suite, out, cases=3, **options):
    return evaluate(methods, suite, cases, out, say=lambda line: None, **options)


@pytest.mark.slow
def test_a_run_that_was_interrupted_goes_on_to_the_summary(suite, tmp_path):
    methods = {"one-pass": METHODS["one-pass"], "seed-search": BestOfSeeds(2)}
    stopped = replace(suite, counter=MadeCounter(stop_at=3))
    with pytest.raises(KeyboardInterrupt):
        run(methods, stopped, tmp_path)
    before = (tmp_path / RESULTS).read_bytes()
    assert [(row.seed, row.method) for row in rows_of(tmp_path)] == [(7, "plain"), (7, "one-pass")]
    summary = run(methods, suite, tmp_path)
    assert (tmp_path / RESULTS).read_bytes().startswith(before)
    rows = rows_of(tmp_path)
    assert sorted((row.seed, row.method) for row in rows) == sorted(
        (seed, method) for seed in (7, 8, 9) for method in ("plain", *methods)
    )
    first = rows[0]
    assert (first.nouns, first.targets) == (("cats", "dogs"), (3, 2))
    assert np.array(first.counts).shape == (2, 9)
    # Two branches a step; the search makes one more clip, for no clip is right.
    assert summary["methods"]["plain"]["forwards_per_prompt"] == 8
    assert summary["methods"]["seed-search"]["forwards"] == 2
    assert set(summary["manifest"]) >= {"suite", "prompts_sha256", "counter", "model", "call"}
    assert summary["manifest"]["model"]["dtype"] == "float32"


def test_the_noise_is_the_cases_own(suite):
    noises = [
        torch.randn(4, generator=suite.call(suite.case(index), attempt)["generator"])
        for index, attempt in ((0, 0), (0, 0), (1, 0), (0, 1))
    ]
    assert torch.equal(noises[0], noises[1])
    assert not torch.equal(noises[0], noises[2])
    assert not torch.equal(noises[0], noises[3])
    assert torch.equal(noises[2], torch.randn(4, generator=torch.Generator().manual_seed(8)))


def test_other_prompts_pipelines_and_settings_are_not_mixed(suite, tmp_path):
    run({}, suite, tmp_path, cases=1)
    with pytest.raises(FormatError, match="another prompts_sha256"):
        run({}, replace(suite, prompts=PROMPTS[:2]), tmp_path, cases=1)
    with pytest.raises(FormatError, match="another call"):
        run({}, replace(suite, settings=(*suite.settings, ("guidance_scale", 2.0))), tmp_path)
    with pytest.raises(FormatError, match="another clip"):
        run({}, suite, tmp_path, cases=1, scorer=MadeScorer())


@dataclass(frozen=True)
class MadeScorer:
    """Scores a prompt by its length."""

    def describe(self):
        return {"name": "made"}

    def prepare(self):
        pass

    def score(self, frames, prompt):
        return float(len(prompt))


def test_scores_are_in_every_row_and_not_left_out_later(suite, tmp_path):
    summary = run({}, suite, tmp_path, cases=2, scorer=MadeScorer())
    assert [row.clip_score for row in rows_of(tmp_path)] == [44.0, 18.0]
    assert summary["methods"]["plain"]["clip_score"] == 31.0
    with pytest.raises(FormatError, match=r"another clip: .*now None"):
        run({}, suite, tmp_path, cases=3)


def test_without_a_scorer_rows_are_as_they_were(suite, tmp_path):
    summary = run({}, suite, tmp_path, cases=1)
    assert "clip_score" not in json.loads((tmp_path / RESULTS).read_text())
    assert "clip_score" not in summary["methods"]["plain"]


class Pipe:
    """Returns what it is given."""

    def __init__(self, frames):
        self.frames = frames

    def __call__(self, **call):
        return SimpleNamespace(frames=self.frames)


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (None, "without a video"),
        ([], "without a video"),
        (np.full((1, 9, 32, 32, 3), np.nan, np.float32), "not finite"),
    ],
    ids=["nothing", "empty", "NaN"],
)
def test_a_video_that_is_missing_or_broken_is_an_error_and_never_a_zero(
    suite, tmp_path, monkeypatch, frames, message
):
    monkeypatch.setattr(PipelineSource, "load", lambda source: Pipe(frames))
    with pytest.raises(EvaluationError, match="3 results could not be made"):
        run({}, suite, tmp_path)
    assert rows_of(tmp_path) == []
    failures = (tmp_path / FAILURES).read_text().splitlines()
    assert len(failures) == 3
    assert all(message in line for line in failures)
    assert not (tmp_path / SUMMARY).exists()


def test_methods_that_need_masks_are_refused_by_name_before_anything(suite, tmp_path):
    methods = {name: METHODS[name] for name in ("one-pass", "oracle", "misplaced", "seed-search-5")}
    with pytest.raises(EvaluationError, match=r"^oracle, misplaced must know .* countbench does"):
        run(methods, suite, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_more_prompts_than_there_are_are_refused_before_anything(suite, tmp_path):
    with pytest.raises(EvaluationError, match="has 3 prompts, but prompt 4 was asked for"):
        run({}, suite, tmp_path, cases=4)
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_is_not_there_is_refused_before_anything(suite, tmp_path):
    lost = replace(suite, source=PipelineSource(str(tmp_path / "lost")))
    with pytest.raises(FormatError, match="neither a folder nor a hub name"):
        run({"plain": Plain()}, lost, tmp_path / "out")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    root = tmp_path_factory.mktemp("files")
    for name, content in dump_counted_prompts(PROMPTS).items():
        (root / name).write_bytes(content)
    (root / "owlv2").mkdir()
    save_owlv2(root / "owlv2")
    (root / "clip").mkdir()
    save_clip(root / "clip")
    return root


def command(*options):
    return CliRunner().invoke(cli.app, [str(option) for option in options])


def test_the_command_counts_with_a_detector(files, wan, tmp_path):
    order = (
        *("evaluate", "--suite", "countbench", "--methods", "plain", "--model", wan),
        *("--prompts-file", files / "prompts.txt", "--counts-file", files / "noun_counts.jsonl"),
        *("--counter", "owlv2", "--counter-model", files / "owlv2"),
        *("--clip-model", files / "clip", "--device", "cpu", "--seed", "5"),
        *("--steps", "2", "--frames", "5", "--height", "32", "--width", "32"),
        *("--out", tmp_path),
    )
    result = command(*order)
    assert result.exit_code == 0, result.output
    assert result.output.split()[-2:] == [str(tmp_path / SUMMARY), str(tmp_path / PAGE)]
    assert "CLIP" in result.output
    rows = rows_of(tmp_path)
    assert [row.seed for row in rows] == [5, 6, 7]
    assert all(row.clip_score is not None for row in rows)
    assert [np.array(row.counts).shape for row in rows] == [(2, 5), (1, 5), (1, 5)]
    manifest = json.loads((tmp_path / SUMMARY).read_text())["manifest"]
    assert manifest["counter"]["box_threshold"] == 0.1
    assert manifest["call"] == {
        "num_inference_steps": 2,
        "num_frames": 5,
        "height": 32,
        "width": 32,
    }


def test_prompts_are_written_for_the_suite(tmp_path):
    result = command("prompts", "--number", "12", "--seed", "3", "--out", tmp_path / "made")
    assert result.exit_code == 0, result.output
    paths = [tmp_path / "made" / name for name in ("prompts.txt", "noun_counts.jsonl")]
    assert [len(path.read_text().splitlines()) for path in paths] == [12, 12]
    again = command("prompts", "--out", tmp_path / "made")
    assert again.exit_code == 2
    assert "--force" in again.stderr
