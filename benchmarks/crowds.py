"""Counts past those that the model was trained on: ``python benchmarks/crowds.py --out FILE``.

Captions of the built-in world ask for 9 to 16 of one noun, of which it has learned 8 at most, on
frames of 16 x 16 patches. Its tokenizer has no word for these numbers, so that they reach the plain
model letter by letter. A clip is judged by the exact counter, frame by frame. Where the method
cannot help, for instance because there is no room, the clip stays as it was, and counts as it is.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from benchmarks.clip_rows import record_clips
from numina.evaluation.ablation import PRESET
from numina.evaluation.suites import Case, SpritesSuite
from numina.pipeline import generate
from numina.sprites.world import CATEGORIES, DIRECTIONS

COUNTS: Mapping[str, int] = MappingProxyType(
    {
        "nine": 9,
        "ten": 10,
        "eleven": 11,
        "twelve": 12,
        "thirteen": 13,
        "fourteen": 14,
        "fifteen": 15,
        "sixteen": 16,
    }
)
WAYS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "restart": {"mode": "restart"},
        "restart, nothing grafted": {"mode": "restart", "preset": replace(PRESET, grafting=None)},
        "one pass": {"mode": "one-pass"},
    }
)


def case_of(seed: int) -> Case:
    """A case of one noun; counts follow each other, so that a run has all of them."""
    words = tuple(COUNTS)
    word = words[seed % len(words)]
    rng = np.random.default_rng((20261125, seed))
    noun = CATEGORIES[rng.integers(len(CATEGORIES))]
    direction = tuple(DIRECTIONS)[rng.integers(len(DIRECTIONS))]
    return Case(seed, f"{word} {noun} drifting {direction}", (noun,), (COUNTS[word],))


def read_case(pipe: Any, suite: SpritesSuite, seed: int) -> list[dict[str, Any]]:
    """A row for the plain clip and for every way of guiding it."""
    case = case_of(seed)
    (noun,), (asked,) = case.nouns, case.targets
    told = {"seed": seed, "prompt": case.prompt, "asked": asked}

    def row(way: str, frames: Any, decision: str = "plain", reason: str = "") -> dict[str, Any]:
        counts = suite.count(frames, case)[0].tolist()
        return {**told, "way": way, "decision": decision, "reason": reason, "counts": counts}

    plain = pipe(prompt=case.prompt, **suite.call(case)).frames[0]
    rows = [row("plain", plain)]
    for way, options in WAYS.items():
        video = generate(pipe, case.prompt, counts={noun: asked}, **options, **suite.call(case))
        rows.append(row(way, video.frames[0], video.report.decision, video.report.reason))
    return rows


def summary_of(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """By way: share of the frames with the number, mean error, and clips left as they were."""
    found = []
    for way in dict.fromkeys(row["way"] for row in rows):
        own = [row for row in rows if row["way"] == way]
        errors = np.array([np.subtract(row["counts"], row["asked"]) for row in own])
        found.append(
            {
                "way": way,
                "clips": len(own),
                "unguided": sum(row["decision"] == "unguided" for row in own),
                "right": float((errors == 0).mean()),
                "error": float(np.abs(errors).mean()),
            }
        )
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the clips and write rows and shares."""
    return record_clips("Crowds on the built-in model.", read_case, summary_of, arguments)


if __name__ == "__main__":
    sys.exit(main())
