"""Results folders made of nothing: rows with known counts, and the summary that belongs to them."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from numina.evaluation.lines import write_line
from numina.evaluation.report import Findings, read_findings
from numina.evaluation.results import RESULTS, SUMMARY, Row, dump_json
from numina.evaluation.summary import PLAIN, summarise

FRAMES = 3
MANIFEST = {
    "format": 1,
    "suite": "sprites",
    "seed": 100,
    "call": {"num_inference_steps": 16, "guidance_scale": 2.5},
    "model_sha256": "ab",
    "versions": {"python": "3.11", "torch": "2.13.0", "diffusers": "0.42.1"},
    "code": [{"commit": "0123456789abcdef", "dirty": True}],
    "methods": {"plain": "Plain()", "robust": "Guided(...)"},
}
# Counts of the apples in all frames, of case 100 on. Asked for are 3, 2, 4, 3, 2 and 4.
ASKED = (3, 2, 4, 3, 2, 4)
COUNTS = {
    "plain": (2, 2, 6, 3, 1, 3),
    "robust": (3, 2, 4, 2, 1, 4),
    "one-pass": (3, 2, 4, 2, 1, 2),
    "paper": (2, 1, 6, 3, 1, 3),
    "oracle": (3, 2, 4, 3, 2, 4),
    "misplaced": (3, 2, 6, 3, 1, 4),
}
FORWARDS = {"robust": 6.0, "paper": 5.0}


def row(
    method: str, seed: int, asked: int, count: int | Iterable[int], noun: str = "apples"
) -> Row:
    """One result of one noun; a single count stands for every frame."""
    counts = (count,) * FRAMES if isinstance(count, int) else tuple(count)
    return Row(
        seed=seed,
        method=method,
        prompt=f"{asked} {noun} at sea",
        nouns=(noun,),
        targets=(asked,),
        counts=(counts,),
        forwards=FORWARDS.get(method, 4.0),
        seconds=1.0,
        decision="guided",
    )


def rows(counts: Mapping[str, Iterable[int]] = COUNTS) -> list[Row]:
    """The results of all methods."""
    return [
        row(method, 100 + index, asked, count)
        for method, drawn in counts.items()
        for index, (asked, count) in enumerate(zip(ASKED, drawn, strict=True))
    ]


def folder_of(folder: Path, results: Iterable[Row], manifest: Mapping[str, Any] = MANIFEST) -> Path:
    """Write a finished evaluation."""
    results = list(results)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / RESULTS).open("wb") as file:
        for each in results:
            fields = {name: value for name, value in vars(each).items() if value is not None}
            write_line(file, fields)
    methods = list(dict.fromkeys(each.method for each in results))
    seeds = [each.seed for each in results if each.method == PLAIN]
    summary = summarise(results, methods, seeds)
    content = {"prompts": len(seeds), **summary, "manifest": dict(manifest)}
    (folder / SUMMARY).write_bytes(dump_json(content))
    return folder


def findings_of(folder: Path, results: Iterable[Row], **changes: Any) -> Findings:
    """The findings of a made evaluation."""
    return read_findings(folder_of(folder, results, {**MANIFEST, **changes}))
