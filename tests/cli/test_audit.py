"""numina audit: exit statuses, files, and one line on the screen."""

import json

import pytest
from typer.testing import CliRunner

from numina import auditing, cli
from numina.integrations import loading
from numina.report.video import read_video
from tests.pipeline.given import Given
from tests.tiny_wan import tiny_wan

PROMPT = "a video of three cats playing on the grass"
SIZE = ["--steps", "4", "--frames", "9", "--height", "96", "--width", "96"]


@pytest.fixture(scope="module")
def pipe():
    return tiny_wan()


@pytest.fixture
def world(monkeypatch, pipe):
    """A tiny pipeline in the place of a model, in which the test says what is seen."""
    found = [3]

    def load_pipeline(name, **arguments):
        return loading.LoadedPipeline(pipe, name, "abc123")

    monkeypatch.setattr(loading, "load_pipeline", load_pipeline)
    monkeypatch.setattr(auditing, "Robust", type("Told", (Given,), {"__init__": _told(found)}))
    return found


def _told(found):
    def init(self):
        Given.__init__(self, found=tuple(found))

    return init


def run(*arguments):
    return CliRunner().invoke(cli.app, ["audit", *(str(each) for each in arguments)])


def test_counts_that_agree_exit_with_0_and_write_three_files(world, tmp_path):
    result = run(PROMPT, "--model", "a/b", "--out", tmp_path / "out", "--seed", "3", *SIZE)
    assert result.exit_code == 0, result.output
    assert "counts agree: 3 cats" in result.stdout.splitlines()[0]
    names = {"audit.json", "labels.json", "video.mp4"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names
    record = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert record["nouns"] == [{"noun": "cats", "asked": 3, "seen": 3, "agrees": True}]
    assert (record["seed"], record["model"], record["flagged"]) == (3, "a/b", False)
    assert record["versions"]["model revision"] == "abc123"
    assert read_video(tmp_path / "out" / record["video"]).shape == (9, 96, 96, 3)
    labels = json.loads((tmp_path / "out" / "labels.json").read_text())
    assert len(labels["annotations"]) == 3 * 9
    assert labels["annotations"][0]["bbox"] == [0, 0, 16, 16]


def test_a_flagged_prompt_exits_with_3(world, tmp_path):
    world[:] = [2]
    result = run(PROMPT, "--model", "a/b", "--out", tmp_path, *SIZE)
    assert result.exit_code == 3
    assert "flagged: saw 2, asked for 3 cats" in result.stdout.splitlines()[0]
    assert json.loads((tmp_path / "audit.json").read_text())["flagged"] is True
    assert run("--verify", tmp_path / "audit.json").exit_code == 0


def test_given_counts_are_what_is_asked_for(world, tmp_path):
    result = run(PROMPT, "--model", "a/b", "--out", tmp_path, "--counts", '{"cats": 2}', *SIZE)
    assert result.exit_code == 3
    assert "saw 3, asked for 2 cats" in result.stdout


def test_verify_tells_a_changed_record(world, tmp_path):
    run(PROMPT, "--model", "a/b", "--out", tmp_path, *SIZE)
    path = tmp_path / "audit.json"
    result = run("--verify", path)
    assert result.exit_code == 0
    assert "unchanged" in result.stdout
    path.write_text(path.read_text().replace('"seen": 3', '"seen": 4'))
    result = run("--verify", path)
    assert result.exit_code == 3
    assert "changed since it was written" in result.stdout


def test_files_are_refused_before_the_run_and_replaced_by_force(world, tmp_path):
    (tmp_path / "audit.json").write_text("mine")
    arguments = [PROMPT, "--model", "a/b", "--out", tmp_path, *SIZE]
    result = run(*arguments)
    assert result.exit_code == 2
    assert "holds audit.json already" in result.stderr
    assert run(*arguments, "--force").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "say what to draw"),
        ([PROMPT], "name a folder or hub name"),
        ([PROMPT, "--verify", "x.json"], "leave out the prompt"),
        (["--verify", "nowhere.json"], "cannot be read"),
        ([" ", "--model", "a/b"], "the prompt is empty"),
    ],
)
def test_what_cannot_be_meant_exits_with_2(world, arguments, complaint):
    result = run(*arguments)
    assert result.exit_code == 2
    assert complaint in " ".join(result.stderr.split())


def test_the_help_tells_the_exit_statuses():
    result = run("--help")
    assert result.exit_code == 0
    text = " ".join(result.stdout.split())
    assert "Exit status: 0 where all counts agree" in text
    assert "3 where any is flagged" in text
