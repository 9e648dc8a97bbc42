"""demo and generate: what they refuse before any work, what they hand on, what they write."""

import io
import json
from types import SimpleNamespace

import av
import numpy as np
import pytest
import torch
from PIL import ExifTags, Image
from report import made
from typer.testing import CliRunner

from numina import cli, pipeline
from numina.commands.demo import count_targets, require_sprites
from numina.errors import TargetError
from numina.integrations import loading
from numina.pipeline import CountedVideo
from numina.report import files
from numina.sprites import model


class Pipe:
    """Stands in for a pipeline: two forward passes of an identity, then the frames it is given."""

    def __init__(self, frames) -> None:
        self.transformer = torch.nn.Identity()
        self.frames = frames
        self.calls: list[dict] = []

    def set_progress_bar_config(self, **settings) -> None:
        self.progress = settings

    def __call__(self, **call):
        self.calls.append(call)
        for _ in range(2):
            self.transformer(torch.zeros(1))
        return SimpleNamespace(frames=self.frames[None] / np.float32(255))


@pytest.fixture
def world(monkeypatch, tmp_path):
    """A made run in the place of models and generation; ``counted`` holds generate's arguments."""
    story = made.story()
    pipe = Pipe(story.before)
    seen = SimpleNamespace(pipe=pipe, counted=[], loaded=[])

    def generate(pipe, prompt, **arguments):
        seen.counted.append((prompt, arguments))
        return CountedVideo(story.after[None] / np.float32(255), (story.report,))

    def load_pipeline(name, **arguments):
        seen.loaded.append((name, arguments))
        return loading.LoadedPipeline(pipe, name, "abc123")

    # Pages and strips are tested with the report; here they would only take time.
    monkeypatch.setattr(files, "render_page", lambda story: "<!doctype html>")
    monkeypatch.setattr(files, "draw_strip", lambda story: b"png")
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "model_index.json").write_text("{}")
    monkeypatch.setattr(model, "WEIGHTS", weights)
    monkeypatch.setattr(model, "load", lambda: pipe)
    monkeypatch.setattr(pipeline, "generate", generate)
    monkeypatch.setattr(loading, "load_pipeline", load_pipeline)
    return seen


def run(*arguments: str):
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


def test_demo_writes_the_promised_files(world, tmp_path):
    out = tmp_path / "out"
    result = run("demo", "--out", out, "--prompt", made.story().report.prompt, "--seed", "7")
    assert result.exit_code == 0, result.output
    names = {"report.json", "report.html", "labels.json", "strip.png", "before.mp4", "after.mp4"}
    assert {path.name for path in out.iterdir()} == names
    document = json.loads((out / "report.json").read_text())
    (target,) = document["targets"]
    assert (target["noun"], target["count"]) == ("apples", 3)
    # Counted by the sprites counter in the discs of the made frames.
    assert target["before"] == [2] * 5
    assert target["after"] == [3] * 5
    assert document["forwards"]["before"] == 2
    assert document["seed"] == 7
    assert "Asked for three apples; the model drew two. numina added one." in result.stdout
    assert result.stdout.splitlines()[-1].endswith("report.json")


def test_both_runs_of_demo_start_from_the_same_noise(world, tmp_path):
    assert run("demo", "--out", tmp_path / "out", "--seed", "11").exit_code == 0
    (plain,) = world.pipe.calls
    ((_, counted),) = world.counted
    expected = torch.Generator().manual_seed(11).get_state()
    for call in (plain, counted):
        assert torch.equal(call["generator"].get_state(), expected)
    assert plain["num_inference_steps"] == counted["num_inference_steps"]


def test_demo_hands_on_mode_preset_and_rounds(world, tmp_path):
    options = ["--mode", "restart", "--preset", "paper", "--rounds", "2"]
    assert run("demo", "--out", tmp_path / "out", *options).exit_code == 0
    ((_, arguments),) = world.counted
    assert (arguments["mode"], arguments["preset"], arguments["rounds"]) == ("restart", "paper", 2)


def test_demo_refuses_what_sprites_cannot_draw_before_it_runs(world, tmp_path):
    result = run("demo", "--out", tmp_path / "out", "--prompt", "three elephants drifting left")
    assert result.exit_code == 2
    assert "cannot draw 'elephants'; it knows apples" in result.stderr
    assert not world.pipe.calls


def test_a_colour_before_the_noun_tells_which_balls():
    require_sprites("two blue balls and one purple ball drifting left")
    with pytest.raises(TargetError, match="cannot draw"):
        require_sprites("two green balls drifting left")


def test_balls_are_counted_by_their_colour():
    prompt = "two blue balls drifting left"
    targets = (made.TargetRecord("balls", "balls", 2, ((9, 14),)),)
    report = made.CountReport(prompt, targets, "continued", "")
    (tally,) = count_targets(report, made.video(made.layout((2, 2))))
    assert tally.counts == (2,) * 5


def test_without_weights_there_is_one_clear_line(world, tmp_path):
    (tmp_path / "weights" / "model_index.json").unlink()
    result = run("demo", "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "the embedded model has no weights" in result.stderr


@pytest.mark.parametrize("command", ["demo", "generate"])
def test_files_are_refused_before_the_run(world, tmp_path, command):
    (tmp_path / "after.mp4").write_text("mine")
    arguments = ["three apples", "--model", "a/b"] if command == "generate" else []
    result = run(command, *arguments, "--out", tmp_path)
    assert result.exit_code == 2
    assert "holds after.mp4 already" in result.stderr
    assert not world.pipe.calls
    assert not world.counted
    assert not world.loaded
    assert run(command, *arguments, "--out", tmp_path, "--force").exit_code == 0


def test_generate_writes_no_before_unless_compared(world, tmp_path):
    result = run("generate", "three apples", "--model", "a/b", "--out", tmp_path / "one")
    assert result.exit_code == 0, result.output
    assert not (tmp_path / "one" / "before.mp4").exists()
    assert not world.pipe.calls
    result = run("generate", "x apples", "--model", "a/b", "--out", tmp_path / "two", "--compare")
    assert (tmp_path / "two" / "before.mp4").exists()
    assert len(world.pipe.calls) == 1


def test_generate_hands_on_only_what_was_said(world, tmp_path):
    options = ["--counts", '{"red balls": 2}', "--steps", "8", "--policy", "all", "--seed", "3"]
    run("generate", "p", "--model", "a/b", "--out", tmp_path / "out", *options)
    ((prompt, arguments),) = world.counted
    assert prompt == "p"
    assert arguments["counts"] == {"red balls": 2}
    assert arguments["num_inference_steps"] == 8
    assert arguments["policy"] == "all"
    assert "height" not in arguments
    assert world.loaded == [
        (
            "a/b",
            {
                "revision": None,
                "device": "auto",
                "dtype": "auto",
                "offload": False,
                "with_image": False,
            },
        )
    ]


def test_generate_hands_on_an_image_the_way_up_that_its_camera_says(world, tmp_path):
    upright = Image.Exif()
    upright[ExifTags.Base.Orientation] = 6  # a quarter turn
    file = tmp_path / "first.png"
    Image.new("RGBA", (24, 16), "red").save(file, exif=upright)
    result = run("generate", "p", "--model", "a/b", "--out", tmp_path / "out", "--image", file)
    assert result.exit_code == 0, result.output
    ((_, arguments),) = world.counted
    assert arguments["image"].mode == "RGB"
    assert arguments["image"].size == (16, 24)
    ((_, loaded),) = world.loaded
    assert loaded["with_image"] is True


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "no such file"),
        (b"GIF?", "no image of a kind that can be read"),
        (b"", "no image of a kind that can be read"),
        ("half", "truncated"),
        ("folder", "is a directory"),
    ],
)
def test_an_image_that_cannot_be_read_is_told_in_one_line_before_anything_is_loaded(
    world, tmp_path, content, complaint
):
    file = tmp_path / "first.png"
    if content == "half":
        whole = io.BytesIO()
        Image.effect_noise((64, 64), 50).save(whole, "PNG")
        file.write_bytes(whole.getvalue()[:1000])
    elif content == "folder":
        file.mkdir()
    elif content is not None:
        file.write_bytes(content)
    result = run("generate", "p", "--model", "a/b", "--out", tmp_path / "out", "--image", file)
    assert result.exit_code == 2
    assert complaint in result.stderr
    assert "--image" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not world.loaded
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("options", "fps"), [([], 16), (["--fps", "30"], 30)])
def test_videos_have_the_rate_that_is_asked_for_or_that_of_the_model(world, tmp_path, options, fps):
    out = tmp_path / "out"
    assert run("generate", "p", "--model", "a/b", "--out", out, *options).exit_code == 0
    with av.open(out / "after.mp4") as video:
        assert video.streams.video[0].average_rate == fps


def test_generate_labels_counts_of_the_layout_and_names_the_revision(world, tmp_path):
    run("generate", "three apples", "--model", "a/b", "--out", tmp_path / "out")
    document = json.loads((tmp_path / "out" / "report.json").read_text())
    assert document["targets"][0]["counted_by"] == {"before": "layout", "after": "plan"}
    assert document["versions"]["model revision"] == "abc123"
    assert document["model"] == "a/b"


def test_the_folder_of_generate_is_named_after_the_prompt(world, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run("generate", "../../three apples", "--model", "a/b")
    assert result.exit_code == 0, result.output
    (folder,) = (tmp_path / "numina-out").iterdir()
    assert folder.name.startswith("three-apples-")
    assert (folder / "report.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["three cats", "--counts", '{"cats": NaN}'], "whole number"),
        (["three cats", "--counts", '{"cats": 1, "cats": 2}'], "named twice"),
        (["   "], "the prompt is empty"),
    ],
)
def test_generate_refuses_in_one_line(world, tmp_path, arguments, complaint):
    result = run("generate", *arguments, "--model", "a/b", "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert complaint in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not world.loaded


def test_an_interrupted_run_writes_nothing(world, tmp_path, monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "generate", interrupt)
    result = run("demo", "--out", tmp_path / "out")
    assert result.exit_code == 130
    assert list((tmp_path / "out").iterdir()) == []


def test_the_counter_of_forwards_leaves_no_hook(world, tmp_path):
    run("demo", "--out", tmp_path / "out")
    assert not world.pipe.transformer._forward_pre_hooks
