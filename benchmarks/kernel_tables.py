"""The tables of the kernels: ratios on a CPU, and what the compiler made for GPUs."""

import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

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


def cpu_table(root: Path, results: Path) -> list[str]:
    """Ratios of medians, one column for each number of queries and dtype."""
    paths = cpu_files(root, results)
    files = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    columns = [column for file in files for column in file["results"]]
    lines = [
        line(("", *(f"{c['queries']:,} queries, {c['dtype']}" for c in columns))),
        rule(len(columns) + 1),
    ]
    for name in RATIOS:
        ratios = (c["ratios"].get(name) for c in columns)
        lines.append(line((name, *(f"{r['seconds']:.2f}" if r else "" for r in ratios))))
    for name in PEAKS:
        peaks = (f"{c['rows'][name]['peak_bytes'] / 2**20:.1f} MiB" for c in columns)
        lines.append(line((f"peak memory: {name}", *peaks)))
    bias = (f"{c['dense_bias_bytes'] / 2**20:.1f} MiB" for c in columns)
    lines.append(line(("the dense bias itself, an input", *bias)))
    for name in ERRORS:
        errors = (f"{c['rows'][name]['max_error']:.1e}" for c in columns)
        lines.append(line((f"largest error: {name}", *errors)))
    sources = ", ".join(f"`{(results / path.name).as_posix()}`" for path in paths)
    first = files[0]
    commits = ", ".join(
        dict.fromkeys(file["commit"][:8] + ("+" if file["dirty"] else "") for file in files)
    )
    return [
        *lines,
        "",
        f"<sub>From {sources}: {first['device']}, {first['instruction_set']}, {first['threads']} "
        f"threads; torch {first['versions']['torch']}; commit {commits}.</sub>",
    ]


def cpu_files(root: Path, results: Path) -> list[Path]:
    """Result files of ``benchmarks/kernels/cpu.py``, by rising number of queries.

    Those of Wan 1.3B, which are named after that number; others are named after a model.

    Raises:
        FileNotFoundError: If there are none.
    """
    found = (root / results).glob("kernels-[0-9]*.json")
    paths = sorted(found, key=lambda path: _queries(path.stem))
    if not paths:
        raise FileNotFoundError(f"there is no {results / 'kernels-[0-9]*.json'}")
    return paths


def _queries(stem: str) -> int:
    return int(stem.rpartition("-")[2])


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


TABLES: dict[str, Callable[[Path, Path], list[str]]] = {
    "cpu": cpu_table,
    "machine-code": machine_code_table,
}
