"""The benchmark of the CPU runs, on a shape that takes no time."""

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from numina_kernels import Impl
from numina_kernels.impl import is_installed

SCRIPT = Path(__file__).parents[2] / "benchmarks/kernels/cpu.py"

pytestmark = pytest.mark.skipif(
    not is_installed(Impl.CPU), reason="the C++ extension is not built: nothing to time"
)


@pytest.fixture
def cpu(monkeypatch):
    spec = importlib.util.spec_from_file_location("benchmark_cpu", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "benchmark_cpu", module)
    spec.loader.exec_module(module)
    return module


def test_the_benchmark_writes_ratios_and_errors(cpu, tmp_path, capsys):
    file = tmp_path / "deeper" / "result.json"
    cpu.main(["--tiny", "--no-peaks", "--repeats", "1", "--out", str(file)])

    result = json.loads(file.read_text())
    assert [row["dtype"] for row in result["results"]] == ["float32", "bfloat16"]
    for case in result["results"]:
        assert case["folded_keys"] == 24
        assert {"biased / SDPA with dense bias", "map apply / eager"} <= case["ratios"].keys()
        rows = case["rows"]
        assert all(len(row["seconds"]) == 1 for row in rows.values())
        # All providers compute the same function.
        loosest = 1e-3 if case["dtype"] == "float32" else 1e-1
        for row in rows.values():
            assert 0 < row["max_error"] < loosest
        for name in ("sdpa", "sdpa dense bias", "sdpa folded dense bias"):
            assert any("_scaled_dot_product_" in kernel for kernel in rows[name]["kernels"])
        for name in ("cpu token probs", "cpu map apply transposed"):
            assert any(kernel.startswith("numina") for kernel in rows[name]["kernels"])
    with pytest.raises(SystemExit):
        cpu.main(["--tiny", "--out", str(file)])
    assert "never overwritten" in capsys.readouterr().err


def test_shapes_of_several_models_can_be_timed(cpu):
    found = cpu.sizes()
    assert found["wan-1.3b-480p"].queries == 32760
    assert {found[f"wan-{name} 1 frame"].heads for name in ("1.3b-480p", "14b-480p")} == {12, 40}
    # One name, one shape: a result is found again by its name.
    assert found["wan-ti2v-5b-704p 3 frames"].queries == 3 * 880


def test_nothing_is_folded_in_a_joint_attention_and_its_map_has_no_frames(cpu):
    shape = replace(cpu.TINY, joint=True)
    case = cpu.Case.make(shape, torch.float32)
    names = cpu.providers(shape, case).keys()
    assert case.whole.key.shape[1] == 100 + 512
    assert {"cpu biased", "cpu biased and probs", "eager token probs", "sdpa"} <= names
    assert not any("folded" in name or "map" in name for name in names)
    assert cpu.sizes()["cogvideox-5b-480p 1 frame"].keys == 1350 + 226


@pytest.mark.parametrize(
    "arguments", [["--shape", "wan-14b-480p", "--queries", "7"], ["--tiny", "--queries", "7"]]
)
def test_a_shape_that_there_is_not_is_refused(cpu, arguments, capsys):
    with pytest.raises(SystemExit):
        cpu.main(arguments)
    assert "with 7 queries; choose from" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux' /proc")
@pytest.mark.parametrize("name", ["sdpa", "eager map apply"])
def test_memory_is_measured_in_a_process_of_its_own(cpu, name):
    # The result alone is so large.
    columns = 128 if name == "sdpa" else 16
    assert 4 * 100 * 12 * columns <= cpu.peak_of(name, "tiny", "float32") < 2**28
