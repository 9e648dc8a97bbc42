"""The benchmark of the CPU runs, on a shape that takes no time."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

from numina_kernels import Impl
from numina_kernels.impl import is_installed

SCRIPT = Path(__file__).parents[2] / "benchmarks/kernels/cpu.py"

pytestmark = pytest.mark.skipif(
    not is_installed(Impl.CPU), reason="the C++ extension is not built: nothing to time"
)


@pytest.fixture
def benchmark_main(monkeypatch):
    spec = importlib.util.spec_from_file_location("benchmark_cpu", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "benchmark_cpu", module)
    spec.loader.exec_module(module)
    return module.main


def test_the_benchmark_writes_ratios_and_errors(benchmark_main, tmp_path, capsys):
    file = tmp_path / "deeper" / "result.json"
    benchmark_main(["--tiny", "--no-peaks", "--repeats", "1", "--out", str(file)])

    result = json.loads(file.read_text())
    assert [row["dtype"] for row in result["results"]] == ["float32", "bfloat16"]
    for case in result["results"]:
        assert case["folded_keys"] == 24
        assert {"biased / SDPA with dense bias", "map apply / eager"} <= case["ratios"].keys()
        rows = case["rows"]
        assert all(len(row["seconds"]) == 1 for row in rows.values())
        # All providers compute the same function.
        loosest = 1e-3 if case["dtype"] == "float32" else 1e-1
        for name, row in rows.items():
            assert (row["max_error"] is None) == ("map" in name or "token probs" in name)
            assert row["max_error"] is None or row["max_error"] < loosest
    with pytest.raises(SystemExit):
        benchmark_main(["--tiny", "--out", str(file)])
    assert "never overwritten" in capsys.readouterr().err
