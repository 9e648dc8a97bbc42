"""The tables of identification in hard worlds, from ``benchmarks/results/cpu/hard-worlds*``."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.identification_tables import VERDICT
from benchmarks.markdown import line, rule
from numina.evaluation.hard_worlds import PUBLISHED
from numina.evaluation.identification import ReadClip, Reading
from numina.evaluation.lines import lines_of
from numina.evaluation.metrics import bootstrap_interval
from numina.evaluation.noise_levels import agreeing
from numina.evaluation.results import RESULTS, SUMMARY, read_json
from numina.sprites.hard_worlds import WORLDS

# By world and reader: the clips that were read.
Worlds = Mapping[str, Mapping[str, Sequence[ReadClip]]]

TITLES = {
    "ordinary": "the ordinary world",
    "touching": "crowds that touch",
    "overlapping": "crowds that overlap by a third",
    "posts": "posts in front",
    "backgrounds": "unseen backgrounds",
    "few": "the ordinary world, four at most",
    "fast": "fast motion",
    "large": "large sprites",
    "heads": "large sprites with a salient head",
}
READERS = {
    "robust": "robust",
    "attention": "attention alone",
    "paper-scaled": "paper, scaled to the sprites",
    "paper": "paper, published settings",
}
# Each with the fragments that touch merged, and as they are.
MERGING = (
    ("robust", "robust-fragments", "robust"),
    ("attention", "attention-fragments", "attention alone"),
    ("attention-affinity", "attention", "attention, merged by self-attention too"),
)


def worlds_table(worlds: Worlds, asked: Sequence[str] = tuple(READERS)) -> list[str]:
    """By world, at the verdict: share of nouns counted right, F1, and instances found of one.

    Args:
        worlds: The clips that were read.
        asked: Whose columns are wanted. A reader or a world without any clip is left out.
    """
    there = _there(worlds, asked)
    lines = [
        line(("", *(f"{READERS[name]}: count, F1, found" for name in there))),
        rule(len(there) + 1),
    ]
    for world, readers in worlds.items():
        cells = [_read(readers[name], name) if name in readers else "" for name in there]
        if any(cells):
            lines.append(line((TITLES[world], *cells)))
    return lines


def hardship_table(worlds: Worlds) -> list[str]:
    """What each hardship costs: nouns counted right, against the same scenes without it."""
    there = _there(worlds, tuple(READERS))
    lines = [
        line(("", "beside", *(f"{READERS[name]} (95 %)" for name in there))),
        rule(len(there) + 2),
    ]
    for world, readers in worlds.items():
        beside = WORLDS[world].beside
        if beside == world or beside not in worlds:
            continue
        cells = []
        for name in there:
            easier = dict(_shares(worlds[beside].get(name, ()), name))
            pairs = [share - easier[seed] for seed, share in _shares(readers.get(name, ()), name)
                     if seed in easier]  # fmt: skip
            cells.append(_difference(np.array(pairs)) if pairs else "")
        lines.append(line((TITLES[world], TITLES[beside], *cells)))
    return lines


def merging_table(worlds: Worlds) -> list[str]:
    """What merging fragments brings, paired by clip: nouns counted right, instances found."""
    lines = [
        line(("", *(f"{title}: found before, after; gain (95 %)" for *_, title in MERGING))),
        rule(len(MERGING) + 1),
    ]
    for world, readers in worlds.items():
        cells = []
        for merged, fragments, _ in MERGING:
            clips = readers[merged]
            gain = _difference(_counted(clips, merged) - _counted(clips, fragments))
            before, after = _found(clips, fragments), _found(clips, merged)
            cells.append(f"{before:.2f}, {after:.2f}; {gain}")
        lines.append(line((TITLES[world], *cells)))
    return lines


def looks_table(worlds: Worlds) -> list[str]:
    """By world and noise level: share of the nouns counted right, robust and attention alone."""
    ours = {world: readers["robust"] for world, readers in worlds.items()}
    levels = sorted({r.noise for clips in ours.values() for r in clips[0].readings}, reverse=True)
    lines = [line(("", *(f"{level:.2f}" for level in levels))), rule(len(levels) + 1)]
    for world, clips in ours.items():
        cells = (
            " / ".join(
                f"{_counted(clips, name, level).mean():.3f}" for name in ("robust", "attention")
            )
            for level in levels
        )
        lines.append(line((TITLES[world], *cells)))
    return lines


def _there(worlds: Worlds, asked: Sequence[str]) -> list[str]:
    """Of the readers that are asked for, those of some world."""
    return [name for name in asked if any(name in readers for readers in worlds.values())]


def _read(clips: Sequence[ReadClip], name: str) -> str:
    counted, placed = _counted(clips, name).mean(), _placed(clips, name).mean()
    return f"{counted:.3f}, {placed:.3f}, {_found(clips, name):.2f} ({len(clips)})"


def _difference(pairs: NDArray[np.float64]) -> str:
    low, high = bootstrap_interval(pairs)
    return f"{pairs.mean():+.3f} ({low:+.3f} to {high:+.3f})"


def _counted(clips: Sequence[ReadClip], name: str, level: float = VERDICT) -> NDArray[np.float64]:
    """Share of the nouns that each clip's reading counted right."""
    return np.array([share for _, share in _shares(clips, name, level)])


def _shares(
    clips: Sequence[ReadClip], name: str, level: float = VERDICT
) -> list[tuple[int, float]]:
    """The same with the clip's seed before it."""
    return [(clip.seed, float(np.mean(agreeing(clip, _at(clip, name, level))))) for clip in clips]


def _placed(clips: Sequence[ReadClip], name: str) -> NDArray[np.float64]:
    """Mean F1 over the nouns of each clip."""
    matches = [clip.matches(_at(clip, name, VERDICT)) for clip in clips]
    return np.array([np.mean([one.f1 for one in each]) for each in matches])


def _found(clips: Sequence[ReadClip], name: str) -> float:
    """Instances found for each one that there is."""
    found = sum(sum(_at(clip, name, VERDICT).found) for clip in clips)
    return found / sum(sum(clip.true) for clip in clips)


def _at(clip: ReadClip, name: str, level: float) -> Reading:
    """The first reading at a level that is as low or lower."""
    low = [each for each in clip.readings if each.evidence == name and each.noise <= level]
    return min(low, key=lambda reading: reading.step)


def _with_source(table: Callable[[Worlds], list[str]], root: Path, folder: Path) -> list[str]:
    """A table of all worlds that have results, and where its figures are."""
    worlds: dict[str, dict[str, Sequence[ReadClip]]] = {}
    manifests, number = [], 0
    for world in WORLDS:
        for path in (root / folder / world, root / folder / world / PUBLISHED):
            if not (path / SUMMARY).exists():
                continue
            summary = read_json(path / SUMMARY)
            clips = lines_of(path / RESULTS, ReadClip)[: summary["prompts"]]
            worlds.setdefault(world, {}).update(dict.fromkeys(summary["readers"], clips))
            manifests.append(summary["manifest"])
            number += len(clips)
    if not worlds:
        raise FileNotFoundError(f"{root / folder} holds no world with a {SUMMARY}")
    return [*table(worlds), "", _source(folder, manifests, number)]


def _source(folder: Path, manifests: Sequence[dict[str, Any]], clips: int) -> str:
    commits = {
        code["commit"][:8] + ("+" if code["dirty"] else "")
        for manifest in manifests
        for code in manifest["code"]
        if code
    }
    told = [
        f"{clips} clips, from seed {manifests[0]['seed']} in every world",
        f"torch {manifests[0]['versions']['torch']}",
        f"diffusers {manifests[0]['versions']['diffusers']}",
        *([f"commit {', '.join(sorted(commits))}"] if commits else []),
    ]
    return f"<sub>From `{folder.as_posix()}`: {'; '.join(told)}.</sub>"


TABLES: dict[str, Callable[[Path, Path], list[str]]] = {
    "worlds": partial(_with_source, worlds_table),
    "published": partial(_with_source, partial(worlds_table, asked=("paper-scaled", "paper"))),
    "hardship": partial(_with_source, hardship_table),
    "merging": partial(_with_source, merging_table),
    "looks": partial(_with_source, looks_table),
}
