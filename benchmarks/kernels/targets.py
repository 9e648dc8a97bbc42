"""Which figures a run was to reach: ratios inside of it, and whether they did."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.kernels.bench import Row


@dataclass(frozen=True)
class Target:
    """A ratio of two times of one comparison.

    Attributes:
        figure: What a reader asks.
        stage: Whose rows are compared.
        above: Name of the provider whose time is divided.
        below: Chooses those to divide by; of them the fastest that is right counts.
        must: The largest ratio that will do.
        goal: The ratio aimed at.
    """

    figure: str
    stage: str
    above: str
    below: Callable[[Row], bool]
    must: float
    goal: float


def _is_sdpa(row: Row) -> bool:
    return row["name"].startswith("sdpa ") and row["bias"] == "none"


def _is_dense_sdpa(row: Row) -> bool:
    is_folded = row["name"].startswith("sdpa folded")
    return row["name"].startswith("sdpa ") and row["bias"] == "dense" and not is_folded


def _named(name: str) -> Callable[[Row], bool]:
    return lambda row: row["name"] == name


TARGETS = (
    Target("biased / fastest SDPA without a bias", "text", "numina biased", _is_sdpa, 1.40, 1.15),
    Target("folded / fastest SDPA without a bias", "text", "numina folded", _is_sdpa, 0.60, 0.42),
    Target("biased / SDPA with a dense bias", "text", "numina biased", _is_dense_sdpa, 0.75, 0.35),
    Target("biased / without a bias", "text", "numina biased", _named("numina"), 1.08, 1.03),
    Target(
        "noun probabilities added",
        "text",
        "numina biased and probs",
        _named("numina biased"),
        1.15,
        1.05,
    ),
    Target(
        "sketch of all maps / self-attention",
        "statistics",
        "numina sketch",
        _is_sdpa,
        0.20,
        0.12,
    ),
)
# Share of the copy bandwidth that the folded attention shall reach.
COPIED = "folded attention / copy bandwidth"
FOLDED, BANDWIDTH = "numina folded", 0.85
VERDICTS = ("must", "goal", "met", "goal_met")
# Figures of a whole pipeline, which this run does not have.
ELSEWHERE = (
    "guided step / plain step",
    "installed but idle / plain step",
    "extra peak memory of a guided step and of a step with statistics",
    "whole run, one-pass and restart",
    "capture left on for three looks at one layer / plain run",
)


def ratios(stages: Mapping[str, Any], *, judged: bool) -> list[Row]:
    """Every target of every shape that was measured, and what was not measured.

    Args:
        stages: The stages of a result file.
        judged: Whether ratios are held against the targets, which are of a GPU and whole shapes.
    """
    found = []
    for target in TARGETS:
        for comparison in stages.get(target.stage, {}).get("rows", ()):
            if "rows" not in comparison:
                continue
            row = _ratio(target, comparison["rows"])
            if row is not None:
                found.append({"figure": target.figure, "shape": comparison["shape"]} | row)
    found += _bandwidths(stages)
    if not judged:
        for row in found:
            for verdict in VERDICTS:
                row.pop(verdict, None)
    found += [{"figure": figure, "skipped": "needs a whole pipeline"} for figure in ELSEWHERE]
    return found


def _ratio(target: Target, rows: Iterable[Row]) -> Row | None:
    rows = list(rows)
    above = next((row for row in rows if row["name"] == target.above), None)
    if above is None:  # Joint attention has nothing to fold.
        return None
    others = [row for row in rows if target.below(row) and row.get("right") and _was_timed(row)]
    if not _was_timed(above) or not others:
        return {"skipped": f"no right and timed {target.above if others else 'rival'}"}
    best = min(others, key=lambda row: row["median_seconds"])
    ratio = above["median_seconds"] / best["median_seconds"]
    return {
        "ratio": ratio,
        "of": [above["name"], best["name"]],
        "right": above["right"],
        "must": target.must,
        "goal": target.goal,
        "met": ratio <= target.must,
        "goal_met": ratio <= target.goal,
    }


def _bandwidths(stages: Mapping[str, Any]) -> list[Row]:
    copies = [row for row in stages.get("ceilings", {}).get("rows", ()) if row["name"] == "copy"]
    if not copies:
        return [{"figure": COPIED, "skipped": "the copy bandwidth was not measured"}]
    found = []
    for comparison in stages.get("text", {}).get("rows", ()):
        for row in comparison.get("rows", ()):
            if row["name"] == FOLDED and _was_timed(row):
                rate = row["least_bytes"] / row["median_seconds"]
                share = rate / copies[0]["bytes_per_second"]
                found.append(
                    {
                        "figure": COPIED,
                        "shape": comparison["shape"],
                        "share": share,
                        "bytes_per_second": rate,
                        "must": BANDWIDTH,
                        "met": share >= BANDWIDTH,
                    }
                )
    return found


def _was_timed(row: Row) -> bool:
    return "median_seconds" in row
