"""Whether counts per place come out: ``python benchmarks/placed_counts.py --out FILE``.

Captions of the built-in world with one noun that drifts up or down ask for so many; the caller
says how many of them shall be on the left and how many on the right. The finished clip is judged by
the exact counter: ``counted`` is the share of clips with as many instances as asked for, linked
over the frames, ``placed`` of those that have them in the right halves, too. The caption does not
speak of halves, so the plain model is right by chance.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from benchmarks.clip_rows import record_clips
from numina.evaluation.suites import Case, SpritesSuite
from numina.evaluation.true_layout import grid_of, true_layout
from numina.pipeline import generate
from numina.places import Placed
from numina.refine.quotas import in_place
from numina.sprites.world import CATEGORIES, caption_for

WAYS: dict[str, dict[str, Any]] = {
    "restart, anywhere": {"mode": "restart"},
    "restart, placed": {"mode": "restart"},
    "one pass, placed": {"mode": "one-pass"},
}


def case_of(seed: int) -> tuple[Case, Placed]:
    """A case of one noun, two to six of them, and how they are shared by the halves."""
    rng = np.random.default_rng((20261124, seed))
    category, count = CATEGORIES[rng.integers(len(CATEGORIES))], int(rng.integers(2, 7))
    left = int(rng.integers(0, count + 1))
    caption = caption_for(((category, count),), ("up", "down")[rng.integers(2)])
    return Case(seed, caption, (category,), (count,)), Placed(left=left, right=count - left)


def judge(
    pipe: Any, suite: SpritesSuite, case: Case, asked: Placed, frames: Any
) -> dict[str, bool]:
    """Whether a clip has the number, and has it in the right halves."""
    layout = true_layout(suite.masks(frames, case), grid_of(pipe, frames))
    return {
        "counted": layout.count(0) == asked.total,
        "placed": in_place(layout, [asked.total], [asked.parts]),
    }


def read_case(pipe: Any, suite: SpritesSuite, seed: int) -> list[dict[str, Any]]:
    """A row for the plain clip and for every way of guiding it."""
    case, asked = case_of(seed)
    told = {"seed": seed, "prompt": case.prompt, "asked": repr(asked)}
    plain = pipe(prompt=case.prompt, **suite.call(case)).frames[0]
    rows = [{**told, "way": "plain", **judge(pipe, suite, case, asked, plain)}]
    for way, options in WAYS.items():
        noun = case.nouns[0]
        counts = {noun: asked if way.endswith("placed") else asked.total}
        video = generate(pipe, case.prompt, counts=counts, **options, **suite.call(case))
        row = judge(pipe, suite, case, asked, video.frames[0])
        rows.append({**told, "way": way, "decision": video.report.decision, **row})
    return rows


def summary_of(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Shares of the clips, by way."""
    found = []
    for way in dict.fromkeys(row["way"] for row in rows):
        own = [row for row in rows if row["way"] == way]
        shares = {name: sum(row[name] for row in own) / len(own) for name in ("counted", "placed")}
        found.append({"way": way, "clips": len(own), **shares})
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the clips and write rows and shares."""
    return record_clips(
        "Counts per place on the built-in model.",
        read_case,
        summary_of,
        arguments,
    )


if __name__ == "__main__":
    sys.exit(main())
