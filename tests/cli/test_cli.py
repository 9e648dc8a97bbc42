"""The command line: light, one clear line for every error of ours, and no traceback."""

import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from numina import cli
from numina.errors import NuminaError, TargetError

ROOT = Path(__file__).parents[2]


def run(*arguments: str):
    return CliRunner().invoke(cli.app, list(arguments))


@pytest.fixture
def failing(monkeypatch):
    """An app whose command ``fail`` raises what it is told to."""

    def make(error: BaseException) -> typer.Typer:
        app = typer.Typer(cls=cli.OneLineErrors, pretty_exceptions_enable=False)

        @app.command()
        def fail() -> None:
            raise error

        @app.command()
        def other() -> None: ...

        return app

    return make


def test_an_error_of_ours_is_one_line_and_exit_code_2(failing):
    result = CliRunner().invoke(failing(TargetError("three\nlines\x1b[31m")), ["fail"])
    assert result.exit_code == 2
    assert result.stderr == "numina: three lines [31m\n"
    assert result.stdout == ""


def test_other_errors_keep_their_traceback(failing):
    result = CliRunner().invoke(failing(ZeroDivisionError("ours to mend")), ["fail"])
    assert isinstance(result.exception, ZeroDivisionError)


def test_an_interrupt_ends_with_130(failing):
    result = CliRunner().invoke(failing(KeyboardInterrupt()), ["fail"])
    assert result.exit_code == 130
    assert result.stderr == "numina: interrupted\n"


def test_every_error_class_is_reported_in_one_line():
    from numina import errors

    for name in errors.__all__:
        assert issubclass(getattr(errors, name), NuminaError)


@pytest.mark.parametrize("arguments", [["--help"], ["demo", "--help"], ["generate", "--help"]])
def test_help_is_there(arguments):
    result = run(*arguments)
    assert result.exit_code == 0
    assert "Usage: " in result.stdout


def test_the_version_is_told():
    assert run("--version").stdout.startswith("numina ")


@pytest.mark.parametrize(
    "arguments", [["no-such-command"], ["demo", "--seed", "-1"], ["demo", "--mode", "x"]]
)
def test_wrong_usage_is_exit_code_2(arguments):
    result = run(*arguments)
    assert result.exit_code == 2
    assert "Traceback" not in result.output


def test_incompatible_versions_stop_every_command_in_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr(cli, "incompatibilities", lambda: ("torch>=2.7 is needed", "and more"))
    result = run("demo", "--out", str(tmp_path))
    assert result.exit_code == 2
    assert result.stderr == "numina: torch>=2.7 is needed\n"


SCRIPT = """
import sys
import numina.cli
heavy = {"torch", "numpy", "PIL", "av", "jinja2", "diffusers", "transformers", "scipy"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
sys.argv = ["numina", "--help"]
try:
    numina.cli.main()
finally:
    assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""


def test_the_command_line_starts_without_anything_heavy():
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "generate" in done.stdout


def test_the_module_is_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "numina", "--version"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == run("--version").stdout
    scripts = metadata.entry_points(group="console_scripts")
    for script in scripts:
        if script.name == "numina":
            assert script.value == "numina.cli:main"


@pytest.mark.parametrize("word", ["trust_remote_code", "pickle", "yaml.load", "telemetry"])
def test_no_source_runs_foreign_code_or_reports_home(word):
    for path in sources(".py"):
        code = "\n".join(
            line.split("#")[0] for line in path.read_text(encoding="utf-8").splitlines()
        )
        assert f"{word}=True" not in code
        assert f"import {word}" not in code
        assert f"{word}(" not in code


def test_no_source_names_a_fixed_temporary_folder():
    for path in sources(".py", ".jinja", ".css"):
        assert "/tmp" not in path.read_text(encoding="utf-8"), path


def test_no_source_opens_a_port():
    """Case 52: nothing is served, to nobody."""
    for path in sources(".py"):
        imported = re.findall(r"^\s*(?:import|from) (\w+)", path.read_text(encoding="utf-8"), re.M)
        assert not {"http", "socket", "socketserver", "gradio", "uvicorn"} & set(imported), path


def sources(*suffixes: str) -> list[Path]:
    found = [
        path
        for package in ("numina", "numina_kernels")
        for path in (ROOT / package).rglob("*")
        if path.suffix in suffixes
    ]
    assert found
    return found
