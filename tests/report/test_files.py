"""All files of a run, or none."""

import json

import pytest
from report import made

from numina.errors import OutputError
from numina.output import claim_folder
from numina.report import file_names, files, space_needed, write_report
from numina.report.video import read_video


def claimed(folder, with_before=True):
    return claim_folder(folder, file_names(with_before=with_before))


def test_a_compared_run_writes_six_files(tmp_path):
    paths = write_report(claimed(tmp_path), made.story())
    names = {"report.json", "report.html", "labels.json", "strip.png", "before.mp4", "after.mp4"}
    assert {path.name for path in tmp_path.iterdir()} == names
    assert next(iter(paths)) == "report.html"
    assert read_video(paths["before.mp4"]).shape == (5, 128, 128, 3)
    assert json.loads(paths["report.json"].read_text())["decision"] == "guided"
    written = sum(path.stat().st_size for path in paths.values())
    assert written < space_needed(5, 128, 128, with_before=True)


def test_without_a_plain_run_there_is_no_before(tmp_path):
    story = made.story(exact=None, compare=False)
    write_report(claimed(tmp_path, with_before=False), story)
    assert not (tmp_path / "before.mp4").exists()
    assert (tmp_path / "after.mp4").exists()


def test_a_run_that_fails_leaves_no_file(tmp_path, monkeypatch):
    def fail(story):
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "draw_strip", fail)
    with pytest.raises(KeyboardInterrupt):
        write_report(claimed(tmp_path), made.story())
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_no_half_file(tmp_path, monkeypatch):
    folder = claimed(tmp_path)

    def full(descriptor, mode):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("numina.output.os.fdopen", full)
    with pytest.raises(OutputError, match="no space left on device"):
        write_report(folder, made.story())
    assert list(tmp_path.iterdir()) == []


def test_a_lone_surrogate_in_the_prompt_does_not_stop_the_report(tmp_path):
    write_report(claimed(tmp_path), made.story(prompt="three apples \ud800"))
    assert (tmp_path / "report.html").read_text(encoding="utf-8")
