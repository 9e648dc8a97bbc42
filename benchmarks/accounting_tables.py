"""The tables of what numina adds, by model and by number of nouns."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from benchmarks.markdown import line, rule

FILE = "accounting.json"


def families_table(root: Path, results: Path) -> list[str]:
    """Three nouns of three keys each, in every model: memory, work and forwards."""
    told = _read(root, results)
    head = (
        "",
        "patches",
        "GPU, robust",
        "GPU, paper",
        "host at a look",
        "work of the attention",
        "forwards, one pass",
        "forwards, restart",
    )
    lines = [line(head), rule(len(head))]
    for model in dict.fromkeys(row["model"] for row in told["rows"]):
        one_pass, again, paper = (
            _chosen(told["rows"], model, preset, mode, nouns=3, keys=9)
            for preset, mode in (
                ("robust", "one-pass"),
                ("robust", "restart"),
                ("paper", "restart"),
            )
        )
        lines.append(
            line(
                (
                    model,
                    " x ".join(str(size) for size in one_pass["grid"]),
                    _mebibytes(again["device bytes"]),
                    _mebibytes(paper["device bytes"]),
                    _mebibytes(again["host bytes"]),
                    f"{_share(again):.3%}",
                    f"{one_pass['forwards, wrong']:.2f}",
                    f"1.00 or {again['forwards, wrong']:.2f}",
                )
            )
        )
    return [*lines, "", _source(told, results)]


def nouns_table(root: Path, results: Path) -> list[str]:
    """Memory on the GPU, memory of the host and work against the number of nouns."""
    told = _read(root, results)
    numbers = sorted({row["nouns"] for row in told["rows"]})
    head = ("", *(f"{what}, {n}" for what in ("GPU", "host", "work") for n in numbers))
    lines = [line(head), rule(len(head))]
    for model in dict.fromkeys(row["model"] for row in told["rows"]):
        some = [
            _chosen(told["rows"], model, "robust", "restart", nouns=n, keys=3 * n) for n in numbers
        ]
        lines.append(
            line(
                (
                    model,
                    *(_mebibytes(row["device bytes"]) for row in some),
                    *(_mebibytes(row["host bytes"]) for row in some),
                    *(f"{_share(row):.3%}" for row in some),
                )
            )
        )
    return [*lines, "", _source(told, results)]


TABLES: dict[str, Callable[[Path, Path], list[str]]] = {
    "families": families_table,
    "nouns": nouns_table,
}


def _read(root: Path, results: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((root / results / FILE).read_text(encoding="utf-8"))
    return told


def _chosen(
    rows: Iterable[dict[str, Any]], model: str, preset: str, mode: str, nouns: int, keys: int
) -> dict[str, Any]:
    wanted = {
        "model": model, "preset": preset, "mode": mode, "nouns": nouns, "noun keys": keys
    }  # fmt: skip
    (row,) = (row for row in rows if wanted.items() <= row.items())
    return row


def _share(row: dict[str, Any]) -> float:
    extra: int = row["flops, looks"] + row["flops, guidance"]
    return extra / float(row["flops, plain attention"])


def _mebibytes(number: int) -> str:
    return f"{number / 2**20:,.0f} MiB"


def _source(told: dict[str, Any], results: Path) -> str:
    versions = told["versions"]
    commit = told["commit"][:8] + ("+" if told["dirty"] else "")
    return (
        f"<sub>From `{(results / FILE).as_posix()}`: accounted for, not measured; "
        f"{told['machine']['impl']} on {told['machine']['device']}, bfloat16, one video; diffusers "
        f"{versions['diffusers']}; commit {commit}.</sub>"
    )
