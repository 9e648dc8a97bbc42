"""The tables of the kernels: ratios on a CPU, and what the compiler made for GPUs."""

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.kernels.targets import BANDWIDTH, COPIED, ELSEWHERE, TARGETS
from benchmarks.markdown import line, rule

# What a reader would ask first; the files hold more.
RATIOS = (
    "biased / SDPA with dense bias",
    "biased / SDPA plain",
    "biased / unbiased",
    "biased / eager",
    "biased and probs / eager",
    "token probs / eager",
    "map apply / eager",
    "map apply transposed / eager",
    "folded / unfolded",
    "folded / SDPA folded with dense bias",
)
PEAKS = ("cpu biased", "sdpa dense bias", "eager biased and probs", "cpu folded and probs")
ERRORS = ("cpu biased", "sdpa dense bias")
MACHINE_CODE = Path("benchmarks/results/machine-code")
GPUS = Path("benchmarks/results")


def wan_table(root: Path, results: Path) -> list[str]:
    """Ratios of medians for Wan 1.3B at 480p, a column for each of them and each dtype."""
    return _cpu_table(root, results, of_wan(read(root / results)["results"]), _queries)


def others_table(root: Path, results: Path) -> list[str]:
    """The same for the shapes of other models."""
    columns = read(root / results)["results"]
    ours = of_wan(columns)
    return _cpu_table(root, results, [each for each in columns if each not in ours], _shape)


def read(path: Path) -> dict[str, Any]:
    """A result file of ``benchmarks/kernels/cpu.py``."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def of_wan(columns: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The results of Wan 1.3B at 480p, which are told first."""
    return [column for column in columns if column["shape"].startswith("wan-1.3b-480p")]


def _queries(column: dict[str, Any]) -> str:
    return f"{column['queries']:,} queries"


def _shape(column: dict[str, Any]) -> str:
    return f"{column['shape']}: {_queries(column)}, {column['heads']} heads"


def _cpu_table(
    root: Path,
    results: Path,
    columns: Sequence[dict[str, Any]],
    named: Callable[[dict[str, Any]], str],
) -> list[str]:
    lines = [
        line(("", *(f"{named(column)}, {column['dtype']}" for column in columns))),
        rule(len(columns) + 1),
    ]
    for name in RATIOS:
        ratios = (column["ratios"].get(name) for column in columns)
        lines.append(line((name, *(f"{r['seconds']:.2f}" if r else "" for r in ratios))))
    for name in PEAKS:
        rows = (column["rows"].get(name) for column in columns)
        peaks = (f"{row['peak_bytes'] / 2**20:.1f} MiB" if row else "" for row in rows)
        lines.append(line((f"peak memory: {name}", *peaks)))
    bias = (f"{column['dense_bias_bytes'] / 2**20:.1f} MiB" for column in columns)
    lines.append(line(("the dense bias itself, an input", *bias)))
    for name in ERRORS:
        errors = (f"{column['rows'][name]['max_error']:.1e}" for column in columns)
        lines.append(line((f"largest error: {name}", *errors)))
    file = read(root / results)
    commit = file["commit"][:8] + ("+" if file["dirty"] else "")
    return [
        *lines,
        "",
        f"<sub>From `{results.as_posix()}`: {file['device']}, {file['instruction_set']}, "
        f"{file['threads']} threads; torch {file['versions']['torch']}; commit {commit}.</sub>",
    ]


def machine_code_table(root: Path, results: Path) -> list[str]:
    """The worst of all configurations and compilers, for each kernel and architecture."""
    paths = sorted((root / MACHINE_CODE).glob("*.json"))
    if not paths:
        raise FileNotFoundError(f"there is no {MACHINE_CODE / '*.json'}")
    groups: dict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
    compilers: dict[str, None] = {}
    for path in paths:
        for row in json.loads(path.read_text(encoding="utf-8")):
            groups[row["kernel"], int(row["arch"].removeprefix("sm_"))].append(row)
            compilers[row["triton"]] = None
    heads = (
        "kernel",
        "architecture",
        "compiled",
        "registers",
        "spills",
        "shared memory",
        "main loop / plain",
    )
    lines = [line(heads), rule(len(heads))]
    for (kernel, architecture), rows in sorted(groups.items()):
        ratios = [
            row["main_loop"] / row["plain_main_loop"]
            for row in rows
            # Others have no plain kernel to be compared with, and stand beside themselves.
            if kernel.startswith("biased") and row["main_loop"]
        ]
        lines.append(
            line(
                (
                    kernel,
                    f"sm_{architecture}",
                    str(len(rows)),
                    str(max(row["registers"] for row in rows)),
                    str(max(row["spills"] for row in rows)),
                    f"{max(row['shared_bytes'] for row in rows) / 1024:.0f} KiB",
                    f"{max(ratios):.3f}" if ratios else "",
                )
            )
        )
    named = ", ".join(f"`{(MACHINE_CODE / path.name).as_posix()}`" for path in paths)
    told = " and ".join(compilers)
    return [*lines, "", f"<sub>From {named}: Triton {told}.</sub>"]


def targets_table(root: Path, _: Path) -> list[str]:
    """Every figure that needs a GPU, and the worst shape of it on each card that was measured.

    Where there is no result file of ``benchmarks/gpu.py`` at full size, the column stays empty.
    """
    paths = sorted((root / GPUS).glob("*/gpu*.json"))
    files = {path: read(path) for path in paths}
    files = {path: file for path, file in files.items() if not file["tiny"]}
    cards = [str(file["environment"]["gpu"]) for file in files.values()] or ["GPU"]
    lines = [line(("figure", "shall be", "aim", *cards)), rule(3 + len(cards))]
    limits = {each.figure: (f"at most {each.must:.2f}", f"{each.goal:.2f}") for each in TARGETS}
    limits[COPIED] = (f"at least {BANDWIDTH:.2f}", "")
    for figure in (*limits, *ELSEWHERE):
        cells = [_worst(file["targets"], figure) for file in files.values()] or [""]
        lines.append(line((figure, *limits.get(figure, ("", "")), *cells)))
    named = ", ".join(f"`{path.relative_to(root).as_posix()}`" for path in files)
    source = f"From {named}." if files else "Not measured on a GPU yet; nothing is guessed."
    return [*lines, "", f"<sub>{source}</sub>"]


def _worst(targets: Sequence[dict[str, Any]], figure: str) -> str:
    told = [row for row in targets if row["figure"] == figure]
    ratios = [row["ratio"] for row in told if "ratio" in row]
    shares = [row["share"] for row in told if "share" in row]
    if ratios or shares:
        return f"{max(ratios) if ratios else min(shares):.2f}"
    return ""


TABLES: dict[str, Callable[[Path, Path], list[str]]] = {
    "machine-code": machine_code_table,
    "targets": targets_table,
}
CPU_TABLES: dict[str, Callable[[Path, Path], list[str]]] = {
    "wan": wan_table,
    "other-models": others_table,
}
