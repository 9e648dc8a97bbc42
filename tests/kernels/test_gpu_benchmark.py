"""The benchmark for a GPU runs from end to end on a CPU, and its file claims nothing else."""

import json
import math

import pytest
import torch

from benchmarks import gpu
from benchmarks.kernels import correctness as checks
from benchmarks.kernels import speed
from benchmarks.kernels.bench import OUT_OF_TIME, Bench, Deadline
from benchmarks.kernels.shapes import SHAPES, TINY
from benchmarks.kernels.targets import ratios
from numina_kernels.impl import Impl

pytestmark = pytest.mark.skipif(
    torch.cuda.is_available(), reason="what a file says of a CPU; a GPU runs the benchmark itself"
)

TINY_RUN = ["--tiny", "--seed", "0", "--repeats", "2", "--impl", "eager"]


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """The file of a run of all stages."""
    file = tmp_path_factory.mktemp("gpu") / "deeper" / "result.json"
    assert gpu.main([*TINY_RUN, "--budget-minutes", "20", "--out", str(file)]) == 0
    return json.loads(file.read_text())


def rows(result, stage):
    return result["stages"][stage]["rows"]


def test_the_file_says_that_it_is_of_a_cpu(result):
    assert result["complete"]
    assert result["tiny"]
    assert result["environment"]["device_type"] == "cpu"
    assert result["environment"]["gpu"] is None
    assert result["settings"]["timer"] == "perf_counter"
    assert result["settings"]["impl"] == "eager"
    assert {"torch", "triton", "python", "xformers"} <= result["environment"]["versions"].keys()
    assert rows(result, "graphs") == [{"skipped": "CUDA graphs need a CUDA device"}]


def test_every_stage_ran(result):
    assert result["stages"].keys() == gpu.STAGES.keys()
    assert {stage["status"] for stage in result["stages"].values()} == {"done"}


def test_every_operation_is_held_against_float64(result):
    found = rows(result, "correctness")
    assert {row["operation"] for row in found} == checks.OPERATIONS.keys()
    assert {row["dtype"] for row in found} == {"torch.bfloat16", "torch.float32"}
    assert {row["layout"] for row in found} == set(checks.LAYOUTS)
    for row in found:
        assert row["passed"], row
        assert all(math.isfinite(error) for error in row["errors"])


def test_rivals_stand_beside_ours_with_error_and_samples(result):
    whole, joint = rows(result, "text")
    assert [whole["shape"], joint["shape"]] == ["tiny", "tiny-joint"]
    assert whole["folded_keys"] == 24
    for comparison in (whole, joint, *rows(result, "statistics")):
        ran = {row["name"]: row for row in comparison["rows"] if row["status"] == "ran"}
        assert {"sdpa default", "sdpa math", "numina"} <= ran.keys()
        for name, row in ran.items():
            assert row["right"] or name == "stored map, sketch", row
            assert len(row["seconds"]) == 2
            assert row["kernels"]
            assert row["peak_bytes"] is None
    names = {row["name"] for row in whole["rows"] if row["status"] == "ran"}
    assert {"flex", "stored map, probs", "numina folded", "sdpa default, dense bias"} <= names


def test_a_rival_that_is_absent_or_fails_is_a_row_with_its_reason(result):
    found = {row["name"]: row for row in rows(result, "text")[0]["rows"]}
    assert found["sdpa cudnn"]["status"] == "failed"
    assert found["sdpa cudnn"]["reason"].startswith("RuntimeError: No ")
    assert found["xformers"]["status"] in ("absent", "failed")
    assert found["xformers"]["reason"]
    assert "seconds" not in found["xformers"]


def test_repeats_and_compiles_are_counted(result):
    for row in rows(result, "repeats"):
        assert (row["runs"], row["repeats"], row["differing_repeats"]) == (2, 6, 0)
        assert row["runs_equal"]
    built, *compiled = rows(result, "compiles")
    assert built["skipped"] == "no kernel is compiled on a CPU"
    assert [(row["steps"], row["compiled"] <= 2) for row in compiled] == [(50, True)] * 2


def test_no_target_is_claimed_of_a_cpu(result):
    measured = [row for row in result["targets"] if "skipped" not in row]
    assert {"biased / without a bias", "folded attention / copy bandwidth"} <= {
        row["figure"] for row in measured
    }
    assert not any("met" in row or "must" in row for row in measured)
    assert any(row["skipped"] == "needs a whole pipeline" for row in result["targets"][-5:])


def test_what_there_was_no_time_for_is_told(tmp_path):
    file = tmp_path / "result.json"
    stages = "correctness,text,repeats"
    gpu.main([*TINY_RUN, "--stages", stages, "--budget-minutes", "0", "--out", str(file)])
    result = json.loads(file.read_text())
    for stage in stages.split(","):
        assert rows(result, stage)
        assert {row["skipped"] for row in rows(result, stage)} == {OUT_OF_TIME}
    assert result["stages"]["graphs"] == {"status": "not asked for"}


def test_a_stage_that_breaks_leaves_the_others_and_its_rows(tmp_path, monkeypatch, capsys):
    def breaking(bench, deadline):
        yield {"name": "before"}
        raise ZeroDivisionError("broken\nin two lines")

    monkeypatch.setitem(gpu.STAGES, "text", (breaking, 0.3))
    file = tmp_path / "result.json"
    assert gpu.main([*TINY_RUN, "--stages", "text,ceilings", "--out", str(file)]) == 1
    result = json.loads(file.read_text())
    assert rows(result, "text") == [{"name": "before"}]
    assert result["stages"]["text"]["reason"] == "ZeroDivisionError: broken"
    assert result["stages"]["ceilings"]["status"] == "done"
    assert "broken" in capsys.readouterr().out


def test_a_shape_that_is_too_large_leaves_the_others(monkeypatch):
    make = speed.TextAttention.make

    def make_small(queries, *sizes, **options):
        if queries == TINY[0].queries:
            raise torch.OutOfMemoryError("Tried to allocate 60 GiB")
        return make(queries, *sizes, **options)

    monkeypatch.setattr(speed.TextAttention, "make", make_small)
    monkeypatch.setattr(speed, "compare", lambda *_, **__: ["compared"])
    first, second = speed.text(a_bench(Impl.EAGER), Deadline.after(600))
    assert first["reason"] == "OutOfMemoryError: Tried to allocate 60 GiB"
    assert first["passed"] is False
    assert second["rows"] == ["compared"]


@pytest.mark.parametrize("layout", checks.LAYOUTS)
def test_a_case_keeps_its_layout_on_its_way_to_a_device(layout):
    case = checks.Case.make((1, 5, 7, 2), 8, torch.float32, layout, seed=0)
    there = case.to(torch.device("cpu"))
    for name in checks.STRIDED:
        assert getattr(there, name).stride() == getattr(case, name).stride()
        assert torch.equal(getattr(there, name), getattr(case, name))


def a_bench(impl):
    return Bench(torch.device("cpu"), impl, TINY, torch.bfloat16, 1, 1, seed=0, tiny=True)


def test_a_wrong_kernel_is_noticed(monkeypatch):
    right = checks.biased_attention

    def wrong(*arguments, impl, **options):
        output, lse = right(*arguments, impl=impl, **options)
        return (output if impl is Impl.REFERENCE else output * 1.05), lse

    monkeypatch.setattr(checks, "biased_attention", wrong)
    monkeypatch.setattr(checks, "TINY_NUMBERS", ((torch.bfloat16, 16),))
    found = list(checks.correctness(a_bench(Impl.EAGER), Deadline.after(600)))
    wrong_ones = {row["operation"] for row in found if not row["passed"]}
    assert wrong_ones == {"biased_attention", "biased_attention, no bias"}


@pytest.mark.slow
def test_the_kernels_of_triton_are_checked_in_the_interpreter(monkeypatch):
    if gpu.our_impl(None, torch.device("cpu")) is not Impl.TRITON:
        pytest.skip("triton is not installed, or was imported without its interpreter")
    monkeypatch.setattr(checks, "TINY_NUMBERS", ((torch.bfloat16, 16),))
    found = list(checks.correctness(a_bench(Impl.TRITON), Deadline.after(3600)))
    assert len(found) == len(checks.OPERATIONS) * len(checks.TINY_SIZES)
    assert all(row["passed"] for row in found), found


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--tiny", "--stages", "all"], "--stages must be some of ceilings,correctness"),
        (["--tiny", "--shapes", "wan-14b-720p"], "--shapes must be some of tiny,tiny-joint"),
        (["--tiny", "--impl", "cuda"], "unknown impl 'cuda'"),
        (["--tiny", "--out", __file__], "result files are added, never overwritten"),
        ([], "there is no CUDA device; --tiny shows"),
    ],
)
def test_what_cannot_be_run_is_refused(arguments, complaint, capsys):
    with pytest.raises(SystemExit):
        gpu.main(arguments)
    assert complaint in capsys.readouterr().err


def timed(name, seconds, bias="none", right=True, **more):
    return {"name": name, "bias": bias, "right": right, "median_seconds": seconds} | more


def test_a_ratio_is_to_the_fastest_rival_that_is_right():
    comparison = [
        timed("sdpa default", 2.0),
        timed("sdpa flash", 1.0, right=False),
        timed("sdpa cudnn, dense bias", 4.0, "dense"),
        timed("sdpa folded default, dense bias", 0.1, "dense"),
        {"name": "sdpa math", "bias": "none", "status": "failed"},
        timed("numina", 2.0),
        timed("numina biased", 3.0, "layout"),
        timed("numina folded", 0.5, "layout", least_bytes=40),
    ]
    stages = {
        "ceilings": {"rows": [{"name": "copy", "bytes_per_second": 100.0}]},
        "text": {"rows": [{"shape": "a", "rows": comparison}, {"shape": "b", "skipped": "late"}]},
    }
    found = {row["figure"]: row for row in ratios(stages, judged=True) if row.get("shape") == "a"}

    biased = found["biased / fastest SDPA without a bias"]
    assert (biased["ratio"], biased["of"]) == (1.5, ["numina biased", "sdpa default"])
    assert (biased["met"], biased["goal_met"]) == (False, False)
    assert found["biased / SDPA with a dense bias"]["ratio"] == 0.75
    assert found["biased / SDPA with a dense bias"]["met"]
    share = found["folded attention / copy bandwidth"]
    assert (share["share"], share["met"]) == (0.8, False)
    assert "noun probabilities added" not in found


def test_the_shapes_are_those_of_the_models():
    sizes = {shape.name: (shape.queries, shape.keys) for shape in SHAPES}
    assert sizes["wan-1.3b-480p"] == sizes["wan-14b-480p"] == (32_760, 512)
    assert sizes["wan-14b-720p"] == sizes["wan-1.3b-720p"] == (75_600, 512)
    assert sizes["wan-ti2v-5b-704p"] == (27_280, 512)
    assert sizes["cogvideox-5b-480p"] == (17_776, 17_776)
