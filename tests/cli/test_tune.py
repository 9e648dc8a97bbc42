"""``numina tune``: what it says without a GPU, what it lists, what it writes."""

import json
import os

import pytest
import torch
from typer.testing import CliRunner

from numina import cli
from numina_kernels import impl
from numina_kernels.impl import Impl, is_installed

needs_triton = pytest.mark.skipif(
    not is_installed(Impl.TRITON), reason="triton is not installed: pip install 'triton>=3.6'"
)


def run(*arguments):
    return CliRunner().invoke(cli.app, ["tune", *map(str, arguments)])


@pytest.fixture
def _no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.mark.usefixtures("_no_gpu")
def test_without_a_gpu_it_says_where_to_run_it_and_fails(tmp_path):
    file = tmp_path / "card.json"
    result = run("--out", file)
    assert result.exit_code == 2
    assert result.stderr.startswith("numina: numina tune times kernels on a CUDA GPU")
    assert "numina tune --list" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not file.exists()


@pytest.mark.usefixtures("_no_gpu")
@needs_triton
def test_the_candidates_are_listed_without_a_gpu():
    result = run("--list", "--head-dim", "128")
    assert result.exit_code == 0, result.output
    assert "sm_90, head dimension 128, stream" in result.stdout
    assert "128x64, 8 warps, 3 stages (shipped)" in result.stdout
    assert "64x64, 4 warps, 3 stages\n" in result.stdout
    assert "head dimension 64" not in result.stdout


@pytest.mark.usefixtures("_no_gpu")
def test_without_triton_nothing_can_be_listed(monkeypatch):
    monkeypatch.setattr(impl, "is_installed", lambda _: False)
    result = run("--list")
    assert result.exit_code == 2
    assert "impl 'triton' is not installed: install triton" in result.stderr


@pytest.mark.parametrize("wrong", [("--head-dim", 8), ("--head-dim", 512), ("--minutes", 0)])
def test_a_number_out_of_range_is_wrong_usage(wrong):
    assert run(*wrong).exit_code == 2


@pytest.fixture
def card(monkeypatch):
    """A card that was tuned in no time."""
    from numina_kernels.triton import tuning
    from numina_kernels.triton.config_file import ConfigFile
    from numina_kernels.triton.configs import Form, LaunchConfig, Place

    asked = []

    def tune(device, head_dims, *, seconds, tell):
        asked.append((device, head_dims, seconds))
        tell("stream: 64x64")
        return ConfigFile({Place(90, Form.STREAM, 16, 64): LaunchConfig(64, 64, 4, 3)})

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(tuning, "tune", tune)
    return asked


@needs_triton
def test_the_file_is_written_and_how_to_use_it_is_said(card, tmp_path):
    file = tmp_path / "deeper" / "card.json"
    result = run("--out", file, "--minutes", 2)
    assert result.exit_code == 0, result.output
    assert card == [("cuda", (64, 128), 120.0)]
    assert "stream: 64x64" in result.stderr
    assert f"export NUMINA_LAUNCH_CONFIGS={file.resolve()}" in result.stdout.replace("\n", "")
    assert json.loads(file.read_text())["configs"][0]["block_m"] == 64
    assert os.listdir(file.parent) == ["card.json"]


@needs_triton
def test_a_file_that_is_there_is_replaced_only_by_force(card, tmp_path):
    file = tmp_path / "card.json"
    file.write_text("mine")
    refused = run("--out", file)
    assert refused.exit_code == 2
    assert "--force" in refused.stderr
    assert (file.read_text(), card) == ("mine", [])
    assert run("--out", file, "--force").exit_code == 0
    assert file.read_text() != "mine"
