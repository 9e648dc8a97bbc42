"""The tables of the sprites evaluation, from ``benchmarks/results/cpu/sprites-*``."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from operator import eq
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np

from benchmarks.identification_tables import (
    agreement_table,
    confusion_table,
    noise_levels_table,
)
from benchmarks.identification_tables import counts_table as held_table
from benchmarks.markdown import line
from numina.evaluation.ablation import VARIANTS
from numina.evaluation.identification import ReadClip
from numina.evaluation.lines import lines_of
from numina.evaluation.metrics import bootstrap_interval
from numina.evaluation.roles import Kind, role_of, varied_from
from numina.evaluation.summary import PLAIN

# The two modes as they come stand out.
BOLD = ("robust", "one-pass")
# The control that knows the finished plain clip.
CEILING = "oracle"
# Of how many consecutive seeds the ``videos`` table tells, beside all of them.
CONSECUTIVE = 50


@dataclass(frozen=True)
class Results:
    """A result folder: its summary, and one row per prompt and method."""

    summary: dict[str, Any]
    rows: tuple[dict[str, Any], ...]

    @classmethod
    def read(cls, folder: Path) -> "Results":
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        lines = (folder / "results.jsonl").read_text(encoding="utf-8").splitlines()
        return cls(summary, tuple(map(json.loads, lines)))


def methods_table(results: Results) -> list[str]:
    """Every method's figures, with its paired gain over the plain run."""
    rows = [
        ("", "CountAcc (95 %)", "gain (95 %)", "additions / removals reached", "TC", "forwards"),
        ("---",) * 6,
    ]
    summary = results.summary
    for name, figures in summary["methods"].items():
        paired = summary["paired"].get(f"{name}-plain")
        reached = (figures["additions_reached"], figures["removals_reached"])
        rows.append(
            (
                _title(name),
                f"{_share(figures['count_acc'])} ({_interval(figures['ci95'])})",
                f"{paired['gain']:+.3f} ({_interval(paired['ci95'], '+')})" if paired else "",
                " / ".join(map(_share, reached)) if paired else "",
                _share(figures["temporal_consistency"]),
                f"{figures['forwards']:.2f} ×",
            )
        )
    return [line(row) for row in rows]


def counts_table(results: Results) -> list[str]:
    """Every method's accuracy by the count asked for."""
    methods = results.summary["methods"]
    counts = sorted({int(count) for each in methods.values() for count in each["by_count"]})
    rows: list[Sequence[str]] = [("", *map(str, counts)), ("---",) * (len(counts) + 1)]
    for name, figures in methods.items():
        shares = (_share(figures["by_count"].get(str(count))) for count in counts)
        rows.append((_title(name), *shares))
    return [line(row) for row in rows]


def removals_table(results: Results) -> list[str]:
    """How much better the removals are than those of the control with wrong places."""
    rows = [("", "against", "gain in removals reached (95 %)", "prompts"), ("---",) * 4]
    for pair, paired in results.summary["removals"].items():
        control = "misplaced-one-pass" if pair.endswith("misplaced-one-pass") else "misplaced"
        name = pair.removesuffix(f"-{control}")
        gain = f"{paired['gain']:+.3f} ({_interval(paired['ci95'], '+')})"
        rows.append((_title(name), _title(control), gain, str(paired["n"])))
    return [line(row) for row in rows]


def videos_table(results: Results) -> list[str]:
    """How many videos have every count right in every frame: the first seeds, and all."""
    first = results.summary["manifest"]["seed"]
    some = range(first, first + min(CONSECUTIVE, results.summary["prompts"]))
    rows = [("", f"the first {len(some)} seeds", "all seeds"), ("---",) * 3]
    for name in results.summary["methods"]:
        right = {
            row["seed"]: all(set(counts) == {target} for counts, target in _by_noun(row))
            for row in results.rows
            if row["method"] == name
        }
        shares = ([right[seed] for seed in some], list(right.values()))
        rows.append((_title(name), *(f"{sum(s)} of {len(s)}" for s in shares)))
    return [line(row) for row in rows]


def identification_table(results: Results) -> list[str]:
    """How often the first look, in the middle of a run, counts what the plain video will hold.

    A plain video's count of a noun is the median of its frames; where all of them have the same,
    nobody can argue about it. The true layout of the finished video, linked over the frames, is
    the ceiling.
    """
    rows = [
        (
            "",
            "nouns counted as in the plain video (95 %)",
            "those with one number in all its frames (95 %)",
            "verdict as it should be",
        ),
        ("---",) * 4,
    ]
    plain = {row["seed"]: row["counts"] for row in results.rows if row["method"] == PLAIN}
    for name in results.summary["methods"]:
        # Other controls look at the same true layout, and a rival's instances are of one frame.
        if role_of(name).kind is not Kind.OURS and name != CEILING:
            continue
        looked = [row for row in results.rows if row["method"] == name and row["seen"]]
        if not looked:
            continue
        every: list[float] = []
        steady: list[float] = []
        verdicts = []
        for row in looked:
            counts, first = plain[row["seed"]], row["seen"][0]
            held = [median(own) for own in counts]
            hits = list(map(eq, first, held))
            every.append(mean(hits))
            kept = [hit for hit, own in zip(hits, counts, strict=True) if len(set(own)) == 1]
            if kept:
                steady.append(mean(kept))
            verdicts.append((first == row["targets"]) == (held == row["targets"]))
        rows.append((_title(name), _hits(every), _hits(steady), _share(mean(verdicts))))
    return [line(row) for row in rows]


def _hits(shares: Sequence[float]) -> str:
    """The mean of the shares of each video, with its interval; nothing where there are none."""
    if not shares:
        return ""
    return f"{_share(mean(shares))} ({_interval(bootstrap_interval(np.array(shares, np.float64)))})"


def ablation_table(results: Results) -> list[str]:
    """Each preset and its variants: what happens if one setting is replaced."""
    rows = [
        (
            *("setting", "instead", "CountAcc (95 %)", "difference to the preset (95 %)"),
            *("additions / removals reached", "forwards"),
        ),
        ("---",) * 6,
    ]
    methods, paired = results.summary["methods"], results.summary["paired"]
    presets = [name for name in methods if any(varied_from(each) == name for each in methods)]
    for preset in presets:
        rows.append((_title(preset), "", *_ablated(methods[preset], None)))
        for name, figures in methods.items():
            if varied_from(name) == preset:
                known = VARIANTS.get(name)
                told = (known.setting, known.instead) if known else (name, "")
                rows.append((*told, *_ablated(figures, paired[f"{name}-{preset}"])))
    return [line(row) for row in rows]


def _ablated(figures: dict[str, Any], paired: dict[str, Any] | None) -> tuple[str, str, str, str]:
    reached = (figures["additions_reached"], figures["removals_reached"])
    return (
        f"{_share(figures['count_acc'])} ({_interval(figures['ci95'])})",
        f"{paired['gain']:+.3f} ({_interval(paired['ci95'], '+')})" if paired else "",
        " / ".join(map(_share, reached)),
        f"{figures['forwards']:.2f} ×",
    )


def _by_noun(row: dict[str, Any]) -> Iterator[tuple[list[int], int]]:
    return zip(row["counts"], row["targets"], strict=True)


def _with_source(table: Callable[[Results], list[str]], root: Path, folder: Path) -> list[str]:
    """A table of a result folder, which is relative to `root`, and where its figures are."""
    results = Results.read(root / folder)
    return [*table(results), "", _source(folder / "summary.json", results.summary)]


def _with_clips(
    table: Callable[[list[ReadClip]], list[str]], root: Path, folder: Path
) -> list[str]:
    """The same for a folder of clips that were read at many noise levels."""
    summary = json.loads((root / folder / "summary.json").read_text(encoding="utf-8"))
    clips = lines_of(root / folder / "results.jsonl", ReadClip)[: summary["prompts"]]
    return [*table(clips), "", _source(folder / "summary.json", summary)]


def _with_summary(
    table: Callable[[dict[str, Any]], list[str]], root: Path, folder: Path
) -> list[str]:
    """The same where the summary is enough."""
    summary = json.loads((root / folder / "summary.json").read_text(encoding="utf-8"))
    return [*table(summary), "", _source(folder / "summary.json", summary)]


def _source(path: Path, summary: dict[str, Any]) -> str:
    manifest = summary["manifest"]
    commits = [
        code["commit"][:8] + ("+" if code["dirty"] else "") for code in manifest["code"] if code
    ]
    told = [
        f"{summary['prompts']} prompts from seed {manifest['seed']}",
        f"torch {manifest['versions']['torch']}",
        f"diffusers {manifest['versions']['diffusers']}",
        *([f"commit {', '.join(commits)}"] if commits else []),
    ]
    return f"<sub>From `{path.as_posix()}`: {'; '.join(told)}.</sub>"


def _title(method: str) -> str:
    title = role_of(method).title
    return f"**{title}**" if method in BOLD else title


def _share(value: float | None, sign: str = "") -> str:
    return "–" if value is None else f"{value:{sign}.3f}"


def _interval(bounds: Sequence[float], sign: str = "") -> str:
    return f"{_share(bounds[0], sign)} to {_share(bounds[1], sign)}"


TABLES: dict[str, Callable[[Path, Path], list[str]]] = {
    "methods": partial(_with_source, methods_table),
    "counts": partial(_with_source, counts_table),
    "removals": partial(_with_source, removals_table),
    "videos": partial(_with_source, videos_table),
    "identification": partial(_with_source, identification_table),
    "ablation": partial(_with_source, ablation_table),
    "noise-levels": partial(_with_summary, noise_levels_table),
    "noise-levels-counts": partial(_with_clips, held_table),
    "noise-levels-confusion": partial(_with_clips, confusion_table),
    "noise-levels-agreement": partial(_with_clips, agreement_table),
}
