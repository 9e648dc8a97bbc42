"""Strips: clips made again by the runner's own code, and shown only as what was counted."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from numina.errors import FormatError
from numina.evaluation import EvaluationError, evaluate
from numina.evaluation.replay import replay
from numina.evaluation.report import keep_strips, read_findings, render_page, write_page
from numina.evaluation.report.page import build_page
from numina.evaluation.report.strips import STRIPS, draw_clip_strip, strip_name, strip_picture
from numina.evaluation.results import rows_of
from tests.evaluation.made import FRAMES, MadePipe, MadeSuite, Offset
from tests.evaluation.made_results import row

METHODS = {"good": Offset(), "worse": Offset(by=1)}
GREEN, RED = (26, 127, 75), (190, 58, 38)


def silent(line):
    pass


@pytest.fixture
def folder(tmp_path):
    evaluate(METHODS, MadeSuite(), 3, tmp_path, say=silent)
    return tmp_path


def colours(png):
    picture = Image.open(BytesIO(png)).convert("RGB")
    return {colour for _, colour in picture.getcolors(2**24)}


def test_clips_come_again_and_are_the_counted_ones(folder):
    rows = rows_of(folder)[:4]
    made = list(replay(rows, METHODS, MadeSuite(), 3))
    assert [each.row for each in made] == rows
    for each in made:
        assert np.array_equal(each.frames[:, :, 0, 0].T, each.row.observation().counts)


def test_the_plain_clip_of_a_case_is_made_once(folder, monkeypatch):
    pipe = MadePipe()
    monkeypatch.setattr(MadeSuite, "load", lambda suite: pipe)
    methods = {"good": Offset(needs_plain=True), "worse": Offset(by=1, needs_plain=True)}
    assert len(list(replay(rows_of(folder), methods, MadeSuite(), 3))) == 9
    assert pipe.calls == 3
    assert list(replay([], methods, MadeSuite(), 3)) == []


def test_a_clip_that_comes_out_otherwise_is_refused(folder):
    rows = [each for each in rows_of(folder) if each.method == "good"]
    with pytest.raises(EvaluationError, match="good clip of seed 10 differs"):
        list(replay(rows, {"good": Offset(by=2)}, MadeSuite(), 3))
    with pytest.raises(EvaluationError, match="no seed 10 under good"):
        list(replay(rows, {}, MadeSuite(), 3))
    with pytest.raises(EvaluationError, match="no seed 12 under good"):
        list(replay(rows, METHODS, MadeSuite(), 2))


def test_a_strip_shows_wanted_and_counted():
    frames = np.zeros((FRAMES, 32, 48, 3), np.uint8)
    assert {GREEN, RED} <= colours(draw_clip_strip(row("robust", 3, 2, (2, 1, 2)), frames))
    assert RED not in colours(draw_clip_strip(row("robust", 3, 2, 2), frames))


def test_the_page_shows_the_frames_of_kept_strips(folder):
    paths = keep_strips(folder, 2, METHODS, MadeSuite(), silent)
    # The case with three apples teaches most, then the one with two; plain and good of each.
    assert sorted(path.name for path in paths) == sorted(
        strip_name(each)
        for each in rows_of(folder)
        if each.seed in (11, 12) and each.method in ("plain", "good")
    )
    findings = read_findings(folder)
    page = build_page(findings, folder)
    assert [case.seed for case in page.lessons[0].cases] == [12, 11]
    assert page.strips_command is None
    source = render_page(findings, folder)
    assert source.count('src="data:image/webp;base64,') == 4
    # Frames alone: the page writes the counts itself.
    assert '<img src="data:image/webp' in source


def test_strips_that_are_there_are_not_made_again(folder, monkeypatch):
    keep_strips(folder, 1, METHODS, MadeSuite(), silent)
    monkeypatch.setattr(MadeSuite, "load", lambda suite: pytest.fail("nothing is left to do"))
    assert keep_strips(folder, 1, METHODS, MadeSuite(), silent) == []


def test_a_broken_strip_is_an_error(folder):
    (path,) = keep_strips(folder, 1, METHODS, MadeSuite(), silent)[:1]
    for content in (b"no picture", path.read_bytes()[:100]):
        path.write_bytes(content)
        with pytest.raises(FormatError, match="is no picture; delete it"):
            write_page(folder)
    Image.new("RGB", (20, 20)).save(path)
    with pytest.raises(FormatError, match="is no strip; delete it"):
        write_page(folder)


def test_a_method_cannot_name_a_file_elsewhere(tmp_path):
    name = strip_name(row("../../x", 3, 2, 2))
    assert "/" not in name
    assert strip_picture(tmp_path, row("../../x", 3, 2, 2)) is None
    assert not (tmp_path / STRIPS).exists()
