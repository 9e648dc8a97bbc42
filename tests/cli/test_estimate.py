"""``numina generate --estimate``: what counting adds, told from configurations alone."""

import pytest
from typer.testing import CliRunner

from numina import cli
from numina.integrations.outline import outline_pipeline
from tests.families import FAMILIES


def estimated(*arguments):
    return CliRunner().invoke(cli.app, ["generate", *map(str, arguments), "--estimate"])


@pytest.fixture
def folder(tmp_path, tiny_wan):
    pipe = tiny_wan(layers=1)
    pipe.save_pretrained(tmp_path / "tiny")
    # Without them nothing could be loaded.
    for weights in (tmp_path / "tiny").rglob("*.safetensors"):
        weights.unlink()
    return tmp_path / "tiny"


def test_it_is_told_without_weights_and_nothing_is_written(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = estimated("three cats and two dogs", "--model", folder, "--mode", "restart")
    assert result.exit_code == 0, result.output
    assert "2 nouns named by 2 text keys; robust, restart; " in result.stdout
    assert "extra memory on" in result.stdout
    assert "forwards where it is wrong, at most" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]


def test_sizes_are_those_of_the_options(folder):
    small, large = (
        estimated("three cats", "--model", folder, "--frames", 9, "--height", side, "--width", 96)
        for side in (96, 192)
    )
    assert "108 patches (3 x 6 x 6)" in small.stdout
    assert "216 patches (3 x 12 x 6)" in large.stdout


def test_a_prompt_without_counts_is_refused(folder):
    result = estimated("grass in the wind", "--model", folder)
    assert result.exit_code == 2
    assert "would be run plainly" in result.stderr


# Two are of pipeline classes of the tests, with shorter texts.
@pytest.mark.parametrize("name", sorted(FAMILIES.keys() - {"hunyuan-video-1.5", "kandinsky-5"}))
def test_every_family_has_an_outline(tmp_path, name):
    FAMILIES[name].build().save_pretrained(tmp_path)
    pipe, _ = outline_pipeline(str(tmp_path), device="cpu", dtype="bfloat16")
    assert {each.device.type for each in pipe.transformer.parameters()} == {"meta"}
    assert pipe.text_encoder is None
