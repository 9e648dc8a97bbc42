"""The benchmarks under pytest run, and what they write names kernels and errors."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pytest_benchmark", reason="pytest-benchmark is not installed")

ROOT = Path(__file__).parents[2]
CHOSEN = "float32 and (default or cudnn or xformers or numina)"


def environment():
    # Where tests are spread over processes, pytest-benchmark would time nothing.
    own = {name: value for name, value in os.environ.items() if "XDIST" not in name}
    # Reasons are cut to the width of the terminal.
    return own | {"COLUMNS": "400"}


@pytest.mark.slow
def test_every_provider_is_timed_or_left_out_with_its_reason(tmp_path):
    file = tmp_path / "benchmark.json"
    options = ["--benchmark-min-rounds=1", "--benchmark-max-time=0.01", f"--benchmark-json={file}"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "benchmarks/kernels", "-v", "-k", CHOSEN, *options],
        env=environment(),
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout
    timed = {row["name"]: row for row in json.loads(file.read_text())["benchmarks"]}
    for name in ("sdpa default", "sdpa default, dense bias", "numina biased", "numina folded"):
        (row,) = (row for each, row in timed.items() if f"-{name}]" in each)
        assert row["stats"]["rounds"] >= 1
        assert row["extra_info"]["right"]
        assert row["extra_info"]["kernels"]
    for rival in ("sdpa cudnn", "xformers"):
        (line,) = (line for line in done.stdout.splitlines() if f"-{rival}] " in line)
        assert "PASSED" in line or "SKIPPED (RuntimeError" in line or "SKIPPED (Module" in line
