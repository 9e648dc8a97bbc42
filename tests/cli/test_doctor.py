"""The doctor finds what does not fit, and says what to do."""

import pytest
from packaging.requirements import Requirement
from typer.testing import CliRunner

from numina import cli, doctor, versions


def plant(folder, monkeypatch, name: str, version: str, summary: str = "Planted") -> None:
    """Put a distribution's metadata on the path, as pip would."""
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir()
    text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nSummary: {summary}\n"
    (info / "METADATA").write_text(text)
    monkeypatch.syspath_prepend(str(folder))


def examined():
    return CliRunner().invoke(cli.app, ["doctor"])


def test_all_is_well_here():
    result = examined()
    assert result.exit_code == 0, result.output
    assert "numina can work here." in result.stdout
    assert "biased attention differs from float64" in result.stdout


def test_our_requirements_are_read():
    names = {requirement.name for requirement in versions.requirements()}
    assert {"torch", "diffusers", "typer", "av", "jinja2"} <= names
    assert "pytest" not in names
    assert versions.incompatibilities() == ()


@pytest.mark.parametrize(
    ("requirement", "complaint"),
    [
        ("torch>=99", "torch>=99 is needed, but 2"),
        ("numina-no-such-package>=1", "numina-no-such-package>=1 is needed, but not installed"),
    ],
)
def test_incompatible_versions_end_in_one_clear_line(monkeypatch, requirement, complaint):
    monkeypatch.setattr(versions, "requirements", lambda: (Requirement(requirement),))
    result = examined()
    assert result.exit_code == 1
    assert result.stderr.startswith(f"numina: {complaint}")
    assert "pip install" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_the_astronomy_library_is_named(tmp_path, monkeypatch):
    plant(tmp_path, monkeypatch, "numina", "0.35.2", "Numina reduction package")
    result = examined()
    assert result.exit_code == 1
    assert "another package named numina (0.35.2: Numina reduction package)" in result.stderr
    assert "pip uninstall numina" in result.stderr


def test_our_own_distribution_is_not_taken_for_the_other(tmp_path, monkeypatch):
    plant(tmp_path, monkeypatch, "numina_attention", "0.1.0")
    assert versions.foreign_distribution() is None
    assert versions.installed_versions()["numina-attention"] == "0.1.0"


def test_the_versions_of_a_report_are_there():
    told = versions.installed_versions()
    assert {"python", "torch", "diffusers", "transformers", "numpy", "av"} <= set(told)


def test_the_self_test_notices_a_wrong_kernel(monkeypatch):
    monkeypatch.setattr(doctor, "measure_error", lambda impl, device: (1e-2, 1e-5))
    result = examined()
    assert result.exit_code == 1
    assert "differs from float64 by 1.0e-02" in result.stderr


def test_the_self_test_is_exact_and_strict():
    error, budget = doctor.measure_error("eager", "cpu")
    assert 0 < error <= budget < 1e-4


def test_a_part_that_cannot_be_looked_at_is_a_failure(monkeypatch):
    def fail():
        raise OSError("no such library\nand a trace")

    monkeypatch.setattr(doctor, "_video", fail)
    found = [finding for finding in doctor.examine() if finding.status == "failed"]
    assert [(finding.name, finding.detail) for finding in found] == [
        ("video", "OSError: no such library")
    ]
