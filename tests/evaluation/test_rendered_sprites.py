"""A counter's own error, on clips whose truth is known."""

from dataclasses import dataclass

import numpy as np
from typer.testing import CliRunner

from numina import cli
from numina.evaluation import RenderedSprites, SpritesCounter, counter_error
from numina.evaluation.results import SUMMARY, rows_of


@dataclass(frozen=True)
class Doubling(SpritesCounter):
    """Sees one too many in the first frame, of every noun."""

    def describe(self):
        return {"name": "doubling"}

    def count(self, frames, nouns):
        counts = super().count(frames, nouns)
        counts[:, 0] += 1
        return counts


def silent(line):
    pass


def test_the_exact_counter_is_exact(tmp_path):
    error = counter_error(SpritesCounter(), 8, tmp_path, say=silent)
    assert (error.clips, error.exact, error.absolute, error.signed) == (8, 1.0, 0.0, 0.0)
    assert set(error.by_count) == set(range(1, 9))
    assert [row.forwards for row in rows_of(tmp_path)] == [0.0] * 8


def test_a_counter_that_sees_too_many_is_told_so(tmp_path):
    error = counter_error(Doubling(), 4, tmp_path, seed=0, say=silent)
    # One of five frames.
    np.testing.assert_allclose((error.exact, error.absolute, error.signed), (0.8, 0.2, 0.2))


def test_the_pixels_are_those_of_the_captions_scene():
    suite = RenderedSprites(SpritesCounter(), seed=3)
    case = suite.case(2)
    frames = suite.load()(prompt=case.prompt, **suite.call(case)).frames[0]
    assert frames.dtype == np.float32
    assert frames.max() <= 1
    assert suite.count(frames, case).tolist() == [[count] * 5 for count in case.targets]


def test_the_command_tells_the_error(tmp_path):
    order = ["evaluate", "--suite", "true-sprites", "--prompts", "3", "--workers", "1"]
    result = CliRunner().invoke(cli.app, [*order, "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "counted right    1.00 of frames and nouns" in result.output
    assert (tmp_path / SUMMARY).exists()
