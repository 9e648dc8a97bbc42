"""What pip installs: files, metadata, and the public names."""

import importlib.metadata
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

import numina

ROOT = Path(__file__).parents[1]

# Stand-ins, so that the rules for data files are tested whatever the tree holds today: files of
# any depth, of any name.
PLANTED = [
    "numina/sprites/weights/planted/transformer/config.json",
    "numina/sprites/weights/planted/transformer/model.safetensors",
    "numina/sprites/weights/planted/README.md",
    "numina/templates/planted/page.html",
]
# The CPU extension is left out: it takes a compiler and a minute, and gives another kind of wheel.
TREE = ["pyproject.toml", "setup.py", "README.md", "LICENSE", "numina", "numina_kernels"]
NO_COMPILER = {"CC": "no-compiler", "CXX": "no-compiler"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """A wheel built from a copy of the tree, as pip builds it where there is no torch."""
    return build_wheel(tmp_path_factory.mktemp("wheel"), TREE, {})


def build_wheel(folder: Path, tree: list[str], environment: dict[str, str]) -> zipfile.ZipFile:
    source = folder / "source"
    source.mkdir()
    for name in tree:
        if (ROOT / name).is_dir():
            # A tree that is worked in holds the extension already.
            leave = shutil.ignore_patterns("__pycache__", "*.so")
            shutil.copytree(ROOT / name, source / name, ignore=leave)
        else:
            shutil.copy(ROOT / name, source / name)
    for name in PLANTED:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text("stand-in")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    command += ["--no-index", "--quiet", "--wheel-dir", str(folder), str(source)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("*.whl")
    return zipfile.ZipFile(built)


def read_metadata(wheel: zipfile.ZipFile):
    (name,) = (each for each in wheel.namelist() if each.endswith(".dist-info/METADATA"))
    return Parser().parsestr(wheel.read(name).decode())


def test_without_sources_to_compile_the_wheel_is_pure_python(wheel: zipfile.ZipFile):
    version = read_metadata(wheel)["Version"]
    assert Path(wheel.filename).name == f"numina_attention-{version}-py3-none-any.whl"


@pytest.mark.slow
def test_without_a_compiler_the_wheel_is_pure_python_too(tmp_path: Path):
    wheel = build_wheel(tmp_path, [*TREE, "csrc"], NO_COMPILER)

    assert Path(wheel.filename).name.endswith("-py3-none-any.whl")
    assert not [name for name in wheel.namelist() if name.endswith((".so", ".cpp", ".h"))]


def test_the_wheel_holds_every_module_and_nothing_else(wheel: zipfile.ZipFile):
    packed = {name for name in wheel.namelist() if name.endswith(".py")}
    packages = ("numina", "numina_kernels")
    there = {
        path.relative_to(ROOT).as_posix()
        for package in packages
        for path in (ROOT / package).rglob("*.py")
    }
    assert packed == there
    tops = {name.partition("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(packages)


def test_the_wheel_holds_templates_weights_and_type_markers(wheel: zipfile.ZipFile):
    expected = {"numina/py.typed", "numina_kernels/py.typed", *PLANTED}
    for folder in ("numina/templates", "numina/sprites/weights"):
        files = (path for path in (ROOT / folder).rglob("*") if path.is_file())
        expected |= {path.relative_to(ROOT).as_posix() for path in files}
    assert expected <= set(wheel.namelist())


def test_the_distribution_is_not_named_like_the_astronomy_library(wheel: zipfile.ZipFile):
    metadata = read_metadata(wheel)
    assert metadata["Name"] == "numina-attention"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.11"
    (scripts,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert "numina = numina.cli:main" in wheel.read(scripts).decode()
    assert any(name.endswith("licenses/LICENSE") for name in wheel.namelist())


def test_every_requirement_is_pinned_for_development():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = project["dependencies"] + extras["test"] + extras["dev"] + extras["triton"]
    pinned = {
        line.partition("==")[0].lower()
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    }
    names = {requirement.partition(">=")[0] for requirement in wanted}
    assert names <= pinned, f"not in constraints.txt: {sorted(names - pinned)}"


def test_the_citation_and_the_change_log_know_the_version():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"version: {version}\n" in (ROOT / "CITATION.cff").read_text()
    assert numina.__version__ in (version, "0+unknown")


@pytest.mark.parametrize("name", numina.__all__)
def test_every_public_name_resolves(name: str):
    assert getattr(numina, name) is not None
    assert name in dir(numina)


def test_errors_are_all_public():
    from numina import errors

    assert set(errors.__all__) <= set(numina.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'count_everything'"):
        _ = numina.count_everything


def test_the_installed_version_is_the_source_s():
    installed = importlib.metadata.packages_distributions().get("numina", [])
    if "numina-attention" in installed:
        assert numina.__version__ == importlib.metadata.version("numina-attention")
