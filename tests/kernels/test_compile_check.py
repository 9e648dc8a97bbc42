"""Every shipped kernel configuration, compiled without a GPU and read as machine code.

Times need a GPU; these are what can be held without one: nothing spills, everything fits, and the
loop that a bias must not touch is not touched.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("triton", reason="triton is not installed: pip install 'triton>=3.6'")

# The first test waits for the compiler.
pytestmark = pytest.mark.timeout(1800)

ROOT = Path(__file__).parents[2]
# Shared memory that one program may have, in bytes; the compiler does not check it.
SHARED = {"sm_80": 163 << 10, "sm_90": 227 << 10, "sm_100": 227 << 10}
# Masked tile of 64 keys, bias, lift and offset included. Its growth is paid once a noun's tile.
MOST_TAIL = 1250
# Registers of 32 bits that the programs on a multiprocessor share.
REGISTERS = 64 << 10
PRODUCTS = ("attention_map_reapply", "attention_map_apply_transposed", "attention_map_apply")

# The tables in the repository, by the version of Triton that compiled them: those that come with
# torch 2.11 and 2.13.
COMMITTED = {
    version: ROOT / f"benchmarks/results/machine-code/triton-{version}.json"
    for version in ("3.6.0", "3.7.1")
}
# Names a folder with a Triton beside the installed one:
# pip install --no-deps --target FOLDER triton==3.6.0
OTHER = "NUMINA_OTHER_TRITON"

SETS = {
    "sm_90": ["--arch", "90", "--dtype", "bf16", "--head-dim", "64", "128"],
    "everything": [],
    "everything, other Triton": [],
}
LONG = [pytest.mark.exhaustive, pytest.mark.timeout(7200)]
NEEDS_OTHER = pytest.mark.skipif(
    OTHER not in os.environ, reason=f"no folder with another Triton is named by {OTHER}"
)


@pytest.fixture(
    scope="module",
    params=[
        *(f"committed, Triton {version}" for version in COMMITTED),
        pytest.param("sm_90", marks=pytest.mark.slow),
        pytest.param("everything", marks=LONG),
        pytest.param("everything, other Triton", marks=[*LONG, NEEDS_OTHER]),
    ],
)
def rows(request, tmp_path_factory):
    """Rows of ``benchmarks/compile_check.py``: committed, or made now by a process of its own.

    In this one the kernels may be interpreted, and then they cannot be compiled.
    """
    if request.param.startswith("committed"):
        return json.loads(COMMITTED[request.param.split()[-1]].read_text())
    file = tmp_path_factory.mktemp("compiled") / "rows.json"
    command = [sys.executable, "benchmarks/compile_check.py", "--json", str(file)]
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    if "other" in request.param:
        folders = [environment[OTHER], environment.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, folders))
    done = subprocess.run(
        [*command, *SETS[request.param]],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(file.read_text())


@pytest.mark.parametrize("version", COMMITTED)
def test_a_committed_table_is_of_everything_that_ships(version):
    rows = json.loads(COMMITTED[version].read_text())

    assert {row["triton"] for row in rows} == {version}
    named = Counter((row["kernel"], row["config"], row["arch"]) for row in rows)
    assert max(named.values()) == 1
    dims = {"bf16": (64, 96, 128, 256), "fp16": (64, 96, 128, 256), "fp32": (64, 96, 128)}
    expected = {
        (arch, dtype, f"D{dim}") for arch in SHARED for dtype in dims for dim in dims[dtype]
    }
    found = Counter((row["arch"], *row["config"].split()[:2]) for row in rows)
    assert found.keys() == expected
    # A kernel that asks for a smaller tile on some cards has a row for each of its sizes.
    assert min(found.values()) == 15


def test_a_committed_table_is_of_the_kernels_as_they_are(rows):
    """What was compiled now stands in the table of that compiler, figure by figure."""
    version = rows[0]["triton"]
    if version not in COMMITTED:
        pytest.skip(f"no table of Triton {version} is committed")
    committed = {
        (row["kernel"], row["config"], row["arch"]): row
        for row in json.loads(COMMITTED[version].read_text())
    }
    for row in rows:
        assert committed.get((row["kernel"], row["config"], row["arch"])) == row, where(row)


def where(row):
    return f"{row['kernel']} {row['config']} {row['arch']}: {row}"


def is_narrow(row):
    return not row["config"].startswith("fp32")


def test_nothing_spills(rows):
    assert len(rows) >= 28
    for row in rows:
        assert row["spills"] == 0, where(row)


def test_shared_memory_fits_the_device(rows):
    for row in rows:
        assert 0 < row["shared_bytes"] <= SHARED[row["arch"]], where(row)


def test_hopper_multiplies_without_waiting(rows):
    looped = [row for row in rows if row["arch"] == "sm_90" and row["main_loop"]]
    assert looped
    for row in filter(is_narrow, looped):
        assert row["hgmma"] > 0, where(row)
        if "fp32" not in row["kernel"]:
            assert row["warpgroup_arrive"] <= 2, where(row)
        assert not row["serialised"], where(row)


def test_a_bias_does_not_touch_the_main_loop(rows):
    plain = {(row["config"], row["arch"]): row for row in rows if row["kernel"] == "attention"}
    biased = [row for row in rows if row["kernel"].startswith("biased") and row["main_loop"]]
    assert biased
    for row in biased:
        unbiased = plain[row["config"], row["arch"]]
        assert row["plain_main_loop"] == unbiased["main_loop"]
        assert row["matrix_products"] == unbiased["matrix_products"], where(row)
        assert row["exponentials"] == unbiased["exponentials"], where(row)
        if row["arch"] == "sm_90":
            assert row["main_loop"] <= 1.05 * row["plain_main_loop"], where(row)


def test_a_masked_tile_of_64_keys_is_affordable(rows):
    tails = [row for row in rows if row["tail"] and "128x64" in row["config"] and is_narrow(row)]
    for row in tails:
        if row["arch"] == "sm_90" and row["kernel"].startswith("biased"):
            assert row["tail"] <= MOST_TAIL, where(row)
    assert tails


def test_products_leave_room_for_two_programs(rows):
    products = [row for row in rows if row["kernel"] in PRODUCTS and is_narrow(row)]
    assert products
    for row in products:
        _, head_dim, tile, warps, _ = row["config"].split()
        if tile == "128x64" and head_dim != "D256":
            assert row["registers"] * 32 * int(warps[1:]) <= REGISTERS / 2, where(row)


def test_multiplications_and_additions_are_fused(rows):
    for row in rows:
        if row["main_loop"]:
            assert row["fused"] > 0, where(row)


def test_the_main_loop_loads_ahead(rows):
    looped = [row for row in rows if row["kernel"] in ("attention", *PRODUCTS)]
    # The last resort of small cards keeps one tile in flight.
    looped = [row for row in looped if not row["config"].endswith(" s1")]
    assert looped
    for row in looped:
        assert row["asynchronous_loads"] > 0, where(row)
