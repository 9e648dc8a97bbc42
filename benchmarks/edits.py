"""What becomes of every instance that an edit names: ``python benchmarks/edits.py --out FILE``.

Plain clips of the built-in world whose counts are wrong are guided by their true layout, so that
nothing is mistaken before guidance begins, and by that layout in wrong places. Every instance of
an edit is looked up in the finished clip, latent frame by latent frame: whether an added one came
and a kept one stayed where it was asked for, and whether nothing of a removed one is left. What
lies outside of the edit is compared with the plain clip, pixel by pixel.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.clip_rows import record_clips
from numina.evaluation.clip import Plain, Task
from numina.evaluation.instances import same_instances
from numina.evaluation.methods import METHODS, GivenLayout
from numina.evaluation.suites import SpritesSuite
from numina.evaluation.true_layout import grid_of, true_tracks
from numina.identify.tracks import Tracks, tracks_of
from numina.layout import Layout, LayoutEdit
from numina.report.pictures import frame_of_latent

WAYS = ("oracle", "misplaced", "oracle-one-pass", "misplaced-one-pass")
# Patches around what was edited that count as edited: an instance has a blurred edge.
MARGIN = 1
# Where the shares are parted: a sprite has 7.1 patches on average, a little over 2.5 across.
LIMITS = {"patches": 7, "distance": 4}


def read_case(pipe: Any, suite: SpritesSuite, seed: int) -> list[dict[str, Any]]:
    """A row for every instance of every way's edit, and one for what is outside of the edit."""
    case = suite.case(seed - suite.seed)
    task = Task(pipe, suite, case)
    task = Task(pipe, suite, case, Plain().generate(task))
    rows: list[dict[str, Any]] = []
    for way in WAYS:
        method = METHODS[way]
        assert isinstance(method, GivenLayout), "the ways are controls"
        edit = method.edit(task)
        if edit is None:
            continue
        guided = method.generate(task).frames
        grid = grid_of(pipe, guided)
        there = present(true_tracks(suite.masks(guided, case), grid, suite.tracked))
        told = {"seed": seed, "prompt": case.prompt, "way": way}
        rows += [told | row for row in fates(edit, there)]
        assert task.plain is not None, "it was just made"
        rows.append(told | {"fate": "image"} | image_errors(edit, task.plain.frames, guided))
    return rows


def present(tracks: Tracks) -> Layout:
    """All instances in the frames in which they are seen, long or briefly."""
    return LayoutEdit(tracks.sighted, tracks.sighted, brief=tracks.short).seen


def fates(edit: LayoutEdit, there: Layout) -> Iterator[dict[str, Any]]:
    """What became of every instance of an edit.

    Args:
        edit: What was asked for.
        there: Instances of the finished clip.

    Returns:
        Rows with the instance's ``fate``, ``noun``, ``patches`` (median area), ``distance`` (to the
        nearest other centre of the layout it is part of, in patches, where it is nearest; None
        where it is alone) and ``done``: the share of its frames in which that fate came true.
    """
    owners = [same_instances(there, edit.after, noun) for noun in range(_nouns(edit, there))]
    after, before = tracks_of(edit.after), tracks_of(edit.before)
    for label, track in after.items():
        fate = "added" if label in edit.added else "kept"
        found = [label in frame.values() for frame in owners[track.noun]]
        yield _row(fate, edit.after, label, [found[frame] for frame in track.frames])
    for label in edit.removed:
        noun = edit.before.nouns[label - 1]
        gone = []
        for frame in before[label].frames:
            mask = edit.before.labels[frame] == label
            rest = set(np.unique(there.labels[frame][mask]).tolist()) & set(there.instances(noun))
            # What was asked for may reach into its place.
            gone.append(rest <= owners[noun][frame].keys())
        yield _row("removed", edit.before, label, gone)


def _nouns(edit: LayoutEdit, there: Layout) -> int:
    return 1 + max((*edit.before.nouns, *edit.after.nouns, *there.nouns), default=-1)


def _row(fate: str, layout: Layout, label: int, done: Sequence[bool]) -> dict[str, Any]:
    areas = (layout.labels == label).sum(axis=(1, 2))
    return {
        "fate": fate,
        "noun": layout.nouns[label - 1],
        "patches": float(np.median(areas[areas > 0])),
        "distance": nearest(layout, label),
        "done": mean(map(float, done)),
    }


def nearest(layout: Layout, label: int) -> float | None:
    """Distance of an instance's centre to that of another, in the frame in which it is least."""
    distances = []
    for frame in layout.labels:
        if not (frame == label).any():
            continue
        others = [other for other in np.unique(frame[frame > 0]).tolist() if other != label]
        own, *rest = (np.argwhere(frame == each).mean(axis=0) for each in (label, *others))
        distances += [float(np.linalg.norm(own - other)) for other in rest]
    return min(distances, default=None)


def image_errors(
    edit: LayoutEdit, plain: NDArray[np.float32], guided: NDArray[np.float32]
) -> dict[str, float]:
    """Mean absolute difference of the clips in 0..1, within the edit and outside of it."""
    changed = edit.before.labels != edit.after.labels
    if edit.brief is not None:
        changed |= edit.brief.labels > 0
    edited = ndimage.binary_dilation(changed, np.ones((1, 2 * MARGIN + 1, 2 * MARGIN + 1), bool))
    latents, rows, columns = edited.shape
    ends = [frame_of_latent(latent, latents, len(plain)) for latent in range(latents)]
    shown = edited[np.searchsorted(ends, np.arange(len(plain)))]
    tall, wide = plain.shape[1] // rows, plain.shape[2] // columns
    pixels = shown.repeat(tall, axis=1).repeat(wide, axis=2)
    error = np.abs(guided - plain).mean(axis=-1)
    return {
        "edited": float(pixels.mean()),
        "inside": float(error[pixels].mean()) if pixels.any() else 0.0,
        "outside": float(error[~pixels].mean()) if not pixels.all() else 0.0,
    }


def summary_of(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """By way: shares of every fate that came true, also by size and distance; image errors."""
    found = []
    for way in dict.fromkeys(row["way"] for row in rows):
        own = [row for row in rows if row["way"] == way]
        for fate in ("added", "removed", "kept"):
            told = [row for row in own if row["fate"] == fate]
            for name, part in _parts(told).items():
                share = {"instances": len(part), "done": mean(row["done"] for row in part)}
                found.append({"way": way, "fate": fate, "of": name, **share})
        images = [row for row in own if row["fate"] == "image"]
        errors = {name: mean(row[name] for row in images) for name in ("inside", "outside")}
        found.append({"way": way, "fate": "image", "of": "all", "clips": len(images), **errors})
    return found


def _parts(rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """All of them, then those below a size and not, and those nearer than a distance and not."""
    parts = {"all": rows}
    for name, limit in LIMITS.items():
        known = [row for row in rows if row[name] is not None]
        parts[f"{name} below {limit}"] = [row for row in known if row[name] < limit]
        parts[f"{name} from {limit}"] = [row for row in known if row[name] >= limit]
    return {name: part for name, part in parts.items() if part}


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the clips and write rows and shares."""
    told = "What becomes of every instance that an edit names."
    return record_clips(told, read_case, summary_of, arguments)


if __name__ == "__main__":
    sys.exit(main())
