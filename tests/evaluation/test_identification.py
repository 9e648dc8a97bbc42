"""Identification against the noise level: read in one plain run, told against its finished clip."""

import json
from dataclasses import replace

import numpy as np
import pytest

from numina.errors import FormatError
from numina.evaluation import Case, EvaluationError, Plain, Task
from numina.evaluation.identification import READERS, ReadClip, Reader, Reading, read_clip
from numina.evaluation.instances import Matches, matched_instances
from numina.evaluation.lines import LineFile, lines_of
from numina.evaluation.noise_levels import agreeing, figures, read_noise_levels
from numina.generation.look_steps import first_step_at
from numina.generation.run import PipelineRun
from numina.layout import Layout
from numina.methods.paper import Paper
from numina.methods.robust import Robust
from numina.pipeline import generate
from tests.evaluation.test_methods import CASE, SUITE, _one_thread, pipe, seen_suite  # noqa: F401

pytestmark = pytest.mark.slow

LEVELS = (0.9, 0.7, 0.5)


def layout(*squares, shape=(2, 8, 8), nouns=None):
    """Instances in all frames, from ``(row, column, side)`` each."""
    labels = np.zeros(shape, np.int16)
    for label, (row, column, side) in enumerate(squares, 1):
        labels[:, row : row + side, column : column + side] = label
    return Layout(labels, tuple(nouns or [0] * len(squares)))


def test_an_instance_is_found_where_its_centre_is_in_the_true_one():
    true = layout((0, 0, 3), (5, 5, 3))
    assert matched_instances(true, true, 0) == Matches(4, 4, 4)
    moved = layout((1, 1, 1), (5, 1, 3))
    matches = matched_instances(moved, true, 0)
    assert matches == Matches(4, 4, 2)
    assert matches.f1 == 0.5
    # Of other nouns there is nothing, and nothing was found.
    assert matched_instances(true, true, 1).f1 == 1.0
    assert matched_instances(layout((0, 0, 3), nouns=[1]), true, 0) == Matches(0, 4, 0)


def test_two_pieces_of_one_instance_are_one_match_and_one_whole_of_two_is_one_at_most():
    true = layout((0, 0, 4), (4, 4, 4))
    pieces = layout((0, 0, 2), (2, 2, 2), (4, 4, 4))
    assert matched_instances(pieces, true, 0) == Matches(6, 4, 4)
    # The centre of the whole lies in the corner of one of them.
    assert matched_instances(layout((0, 0, 8)), true, 0).matched <= 2


def test_a_ring_is_itself_though_its_centre_is_outside():
    ring = layout((1, 1, 5))
    ring.labels[:, 2:5, 2:5] = 0
    assert matched_instances(ring, ring, 0) == Matches(2, 2, 2)
    corners = layout((1, 1, 5))
    corners.labels[:] = 0
    corners.labels[:, (1, 5), (1, 5)] = 1
    assert matched_instances(corners, ring, 0) == Matches(2, 2, 0)


def test_frames_are_matched_alone_whatever_the_labels():
    found = Layout(np.array([[[1, 1, 2, 2]], [[1, 1, 2, 2]]], np.int16), (0, 0))
    swapped = Layout(np.array([[[1, 1, 2, 2]], [[2, 2, 1, 1]]], np.int16), (0, 0))
    assert matched_instances(found, swapped, 0) == Matches(4, 4, 4)


@pytest.fixture(scope="module")
def clip(pipe):  # noqa: F811
    return read_clip(pipe, seen_suite(2), CASE, LEVELS)


def test_all_readers_look_at_one_run_that_stays_the_plain_one(pipe, monkeypatch):  # noqa: F811
    plain = Plain().generate(Task(pipe, SUITE, CASE))
    shown, processors = [], dict(pipe.transformer.attn_processors)
    suite = seen_suite(2)
    monkeypatch.setattr(
        type(suite), "count", lambda self, frames, case: shown.append(frames) or np.ones((2, 5))
    )
    forwards = []
    hook = pipe.transformer.register_forward_pre_hook(lambda *_: forwards.append(1))
    read_clip(pipe, suite, CASE, LEVELS)
    hook.remove()
    np.testing.assert_array_equal(shown[0], plain.frames)
    assert len(forwards) == plain.forwards
    assert pipe.transformer.attn_processors == processors


def test_every_reader_is_told_at_every_level(clip, pipe):  # noqa: F811
    noises = PipelineRun(pipe, {"prompt": CASE.prompt, **SUITE.call(CASE)}).noises
    steps = [first_step_at(noises, level) for level in LEVELS]
    told = [(reading.evidence, reading.step, reading.noise) for reading in clip.readings]
    assert told == [(name, step, noises[step]) for step in steps for name in READERS]
    # Two apples and a star in three latent frames.
    assert clip.true == (6, 3)
    assert [len(counts) for counts in clip.counts] == [5, 5]


@pytest.mark.parametrize(
    ("name", "mode", "method"),
    [
        ("robust", "one-pass", Robust(looks=(0.9,))),
        ("robust-verdict", "restart", Robust(verdict=0.7)),
        ("robust-attention", "restart", Robust(evidence="attention", verdict=0.7, presence=None)),
        ("paper", "restart", Paper(verdict=0.7)),
    ],
)
def test_a_reader_sees_what_the_method_sees_in_its_own_run(clip, pipe, name, mode, method):  # noqa: F811
    report = generate(pipe, CASE.prompt, preset=method, mode=mode, **SUITE.call(CASE)).report
    readings = {(each.evidence, each.step): each for each in clip.readings}
    before, step = report.looks[0].edit.before, report.looks[0].step
    found = [int(before.count_per_frame(noun).sum()) for noun in (0, 1)]
    assert readings[name, step].found == tuple(found)
    if name != "paper":
        assert readings[name, step].seen == tuple(before.count(noun) for noun in (0, 1))


def test_a_prompt_that_is_read_otherwise_is_an_error(pipe):  # noqa: F811
    with pytest.raises(EvaluationError, match="was read as"):
        read_clip(pipe, seen_suite(2), replace(CASE, targets=(3, 1)), LEVELS)


def made(seed, held, seen, matched, step=4, evidence="robust"):
    """A clip of one noun over two frames, read once."""
    reading = Reading(evidence, step, 0.6, seen, (4,), (matched,))
    return ReadClip(seed, "2 stars", ("stars",), (2,), ((held, held),), (4,), (reading,))


def test_figures_are_means_over_clips():
    clips = [
        made(0, 2, (2.0,), 4),
        made(1, 3, (3.0,), 2),
        made(2, 2, (1.0,), 0),
        made(3, 4, None, 0),
    ]
    (told,) = figures(clips)["robust"]
    assert told["noise"] == 0.6
    assert told["count_acc"] == 0.5
    assert told["f1"] == (1.0 + 0.5) / 4
    # The third is called wrong though it is right; without a layout nothing is called right.
    assert told["verdict_acc"] == 0.75
    assert told["count_ci95"] == [0.0, 1.0]
    assert agreeing(clips[3], clips[3].readings[0]) == [False]
    with pytest.raises(EvaluationError, match="seed 1 has no reading of robust at step 4"):
        figures([clips[0], made(1, 3, (3.0,), 2, step=5)])


def test_a_clip_goes_through_its_file_unchanged(tmp_path, clip):
    path = tmp_path / "results.jsonl"
    with LineFile(path, ReadClip) as file:
        file.append(clip)
        file.append(made(7, 3, None, 0))
        with pytest.raises(FormatError, match="seed 7 has a result already"):
            file.append(made(7, 3, None, 0))
    assert lines_of(path, ReadClip) == [clip, made(7, 3, None, 0)]
    for broken in ('"seed": "x"', '"true": [1.5]', '"true": [1, 2]', '"targets": [NaN]'):
        name = broken.partition(":")[0]
        fields = json.loads(path.read_text().splitlines()[1])
        fields.pop(name.strip('"'))
        text = json.dumps(fields)[:-1] + f", {broken}}}\n"
        path.with_name("broken.jsonl").write_text(text)
        with pytest.raises(FormatError, match="line 1 is no result"):
            lines_of(path.with_name("broken.jsonl"), ReadClip)


class _Suite(type(SUITE)):
    """Cases of one prompt, the third of which cannot be read."""

    def case(self, index):
        return Case(40 + index, CASE.prompt, CASE.nouns, (2, 9) if index == 2 else (2, 1))

    def describe(self):
        return {"suite": "made"}

    def masks(self, frames, case):
        return seen_suite(2).masks(frames, case)


def test_a_suite_is_read_once_and_goes_on_where_it_stopped(tmp_path, monkeypatch, pipe):  # noqa: F811
    monkeypatch.setattr(_Suite, "load", lambda self: pipe)
    suite = _Suite(SUITE.seed, SUITE.folder, SUITE.settings)
    readers = {"robust": READERS["robust"]}
    lines = []
    options = {"levels": LEVELS, "readers": readers, "say": lines.append}
    first = read_noise_levels(suite, 1, tmp_path, **options)
    kept = (tmp_path / "results.jsonl").read_bytes()
    # As it is found after a kill in the middle of the second line.
    (tmp_path / "results.jsonl").write_bytes(kept + kept[: len(kept) // 2])
    summary = read_noise_levels(suite, 2, tmp_path, **options)
    assert (tmp_path / "results.jsonl").read_bytes().startswith(kept)
    assert lines == ["1/1", "2/2"]
    assert (first["prompts"], summary["prompts"]) == (1, 2)
    assert [look["noise"] for look in summary["readers"]["robust"]] == sorted(
        (look["noise"] for look in summary["readers"]["robust"]), reverse=True
    )
    assert json.loads((tmp_path / "summary.json").read_text()) == summary
    with pytest.raises(EvaluationError, match=r"1 cases could not be read.*seed 42: Eval"):
        read_noise_levels(suite, 3, tmp_path, **options)
    with pytest.raises(FormatError, match="another levels"):
        read_noise_levels(suite, 1, tmp_path, **{**options, "levels": (0.8,)})
    more = {"robust": READERS["robust"], "paper": Reader(Paper())}
    with pytest.raises(FormatError, match="another readers"):
        read_noise_levels(suite, 1, tmp_path, **{**options, "readers": more})
