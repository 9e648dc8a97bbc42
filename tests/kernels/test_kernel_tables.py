"""The kernels' tables: every figure from a file, the worst told."""

import json

import pytest

from benchmarks.kernel_tables import ERRORS, MACHINE_CODE, PEAKS, RATIOS
from benchmarks.tables import RESULTS, filled


@pytest.fixture
def root(tmp_path):
    (tmp_path / RESULTS).mkdir(parents=True)
    (tmp_path / MACHINE_CODE).mkdir(parents=True)
    return tmp_path


def cpu_column(shape, queries, ratio):
    rows = {name: {"peak_bytes": 3 * 2**20, "max_error": 2.5e-6} for name in (*PEAKS, *ERRORS)}
    return {
        "shape": shape,
        "queries": queries,
        "heads": 12,
        "dtype": "float32",
        "dense_bias_bytes": 2**19,
        "ratios": {name: {"seconds": ratio} for name in RATIOS},
        "rows": rows,
    }


@pytest.fixture
def cpu_file(root):
    file = {
        "device": "a processor",
        "instruction_set": "avx2",
        "threads": 2,
        "versions": {"torch": "2.13.0"},
        "commit": "0123456789abcdef",
        "dirty": False,
        "results": [
            cpu_column("wan-1.3b-480p 1 frame", 1560, 0.75),
            cpu_column("wan-1.3b-480p", 32760, 0.5),
            cpu_column("wan-14b-480p 1 frame", 1560, 0.25),
        ],
    }
    (root / RESULTS / "kernels-last.json").write_text(json.dumps(file))


def cpu_lines(root, kind):
    return filled(f"<!-- table:kernels-last {kind} -->\n<!-- /table -->\n", root).splitlines()


@pytest.mark.usefixtures("cpu_file")
def test_the_cpu_table_has_a_column_for_each_shape_of_wan(root):
    lines = cpu_lines(root, "wan")
    assert lines[1] == "|  | 1,560 queries, float32 | 32,760 queries, float32 |"
    assert lines[3] == "| biased / SDPA with dense bias | 0.75 | 0.50 |"
    assert "| peak memory: cpu biased | 3.0 MiB | 3.0 MiB |" in lines
    assert "| the dense bias itself, an input | 0.5 MiB | 0.5 MiB |" in lines
    assert "| largest error: cpu biased | 2.5e-06 | 2.5e-06 |" in lines
    assert lines[-2].startswith(f"<sub>From `{RESULTS.as_posix()}/kernels-last.json`: a processor")
    assert lines[-2].endswith("avx2, 2 threads; torch 2.13.0; commit 01234567.</sub>")


@pytest.mark.usefixtures("cpu_file")
def test_other_models_are_named_in_a_table_of_their_own(root):
    lines = cpu_lines(root, "other-models")
    assert lines[1] == "|  | wan-14b-480p 1 frame: 1,560 queries, 12 heads, float32 |"
    assert lines[3] == "| biased / SDPA with dense bias | 0.25 |"


def code_row(config, **figures):
    return {
        "kernel": "biased",
        "config": config,
        "arch": "sm_90",
        "triton": "3.7.1",
        "registers": 168,
        "spills": 0,
        "shared_bytes": 100 * 1024,
        "main_loop": 100,
        "plain_main_loop": 100,
        **figures,
    }


def test_the_machine_code_table_tells_the_worst_configuration(root):
    rows = [
        code_row("a", main_loop=104, registers=200),
        code_row("b", spills=2, main_loop=None),
        code_row("c", arch="sm_80", plain_main_loop=None, main_loop=None),
    ]
    (root / MACHINE_CODE / "triton-3.7.1.json").write_text(json.dumps(rows))
    older = json.dumps([code_row("a", triton="3.6.0")])
    (root / MACHINE_CODE / "triton-3.6.0.json").write_text(older)
    lines = filled("<!-- table:kernels machine-code -->\n<!-- /table -->\n", root).splitlines()
    assert lines[3:5] == [
        "| biased | sm_80 | 1 | 168 | 0 | 100 KiB |  |",
        "| biased | sm_90 | 3 | 200 | 2 | 100 KiB | 1.040 |",
    ]
    assert lines[-2].endswith(": Triton 3.6.0 and 3.7.1.</sub>")


def targets_lines(root):
    return filled("<!-- table:kernels targets -->\n<!-- /table -->\n", root).splitlines()


def gpu_file(root, name, *, tiny):
    targets = [
        {"figure": "biased / without a bias", "shape": "a", "ratio": 1.02},
        {"figure": "biased / without a bias", "shape": "b", "ratio": 1.06},
        {"figure": "folded attention / copy bandwidth", "shape": "a", "share": 0.91},
        {"figure": "folded attention / copy bandwidth", "shape": "b", "share": 0.87},
        {"figure": "guided step / plain step", "skipped": "needs a whole pipeline"},
    ]
    file = {"tiny": tiny, "environment": {"gpu": "A Card"}, "targets": targets}
    (root / RESULTS.parent / name).mkdir(parents=True, exist_ok=True)
    (root / RESULTS.parent / name / "gpu.json").write_text(json.dumps(file))


def test_nothing_is_told_of_a_gpu_that_was_not_measured(root):
    gpu_file(root, "cpu", tiny=True)
    lines = targets_lines(root)
    assert lines[1] == "| figure | shall be | aim | GPU |"
    assert "| biased / without a bias | at most 1.08 | 1.03 |  |" in lines
    assert "nothing is guessed" in lines[-2]


def test_the_worst_shape_of_every_card_is_told(root):
    gpu_file(root, "a-card", tiny=False)
    lines = targets_lines(root)
    assert lines[1] == "| figure | shall be | aim | A Card |"
    assert "| biased / without a bias | at most 1.08 | 1.03 | 1.06 |" in lines
    assert "| folded attention / copy bandwidth | at least 0.85 |  | 0.87 |" in lines
    assert "| guided step / plain step |  |  |  |" in lines
    assert lines[-2].endswith("`benchmarks/results/a-card/gpu.json`.</sub>")


def test_the_plot_shows_medians_relative_to_torch_with_a_dense_bias():
    plots = pytest.importorskip("benchmarks.plots", reason="matplotlib is not installed")
    seconds = {name: [4.0, 1.0, 2.0] for name, *_ in plots.PROVIDERS} | {plots.BASE: [4.0] * 3}
    column = {
        "queries": 1560,
        "dtype": "float32",
        "rows": {name: {"seconds": times} for name, times in seconds.items()},
    }
    (panel,) = plots.draw([column]).axes
    heights = {bars.get_label(): [bar.get_height() for bar in bars] for bars in panel.containers}
    assert heights["torch, dense bias"] == [1.0]
    assert heights["numina C++, layout bias"] == [0.5]
