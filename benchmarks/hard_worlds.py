"""Identification in hard worlds, one after the other: ``python benchmarks/hard_worlds.py``.

Clips of every world of ``numina/sprites/hard_worlds.py`` are rendered, and the pipeline is led
through them noise level by noise level. ``--out FOLDER`` gets a folder for each world, with a line
per clip and a summary, read by the tables ``hard-worlds`` of ``benchmarks/tables.py``. The
published method, which takes ten times as long, is asked with ``--published``, of fewer clips if
need be. ``--picture PNG`` draws clips of every world and runs nothing.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from PIL import Image

from numina.evaluation.hard_worlds import (
    HARD_LEVELS,
    PUBLISHED,
    HardSuite,
    our_readers,
    published_readers,
)
from numina.evaluation.noise_levels import read_noise_levels
from numina.evaluation.suites import REPORTING_SEED
from numina.sprites.hard_worlds import WORLDS

# Clips of a world in the picture, whose first also shows its last frame.
PICTURED = (2, 3, 7)


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the worlds, or draw them."""
    parser = argparse.ArgumentParser(description="Identification in hard worlds.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--out", type=Path, help="folder of the results")
    what.add_argument("--picture", type=Path, help="draw clips of the worlds; run nothing")
    parser.add_argument("--worlds", nargs="+", choices=tuple(WORLDS), default=tuple(WORLDS))
    parser.add_argument("--published", action="store_true", help="ask the published method instead")
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--seed", type=int, default=REPORTING_SEED)
    parser.add_argument("--levels", type=float, nargs="+", default=HARD_LEVELS, metavar="LEVEL")
    parser.add_argument("--model", type=Path, help="folder of the pipeline; default: as shipped")
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args(arguments)
    if options.picture is not None:
        write_picture(options.picture, options.worlds, options.seed)
        return 0
    for name in options.worlds:
        suite = HardSuite(name, options.seed, options.model, tuple(options.levels))
        folder, readers = options.out / name, our_readers()
        if options.published:
            folder, readers = folder / PUBLISHED, published_readers(WORLDS[name])
        print(name, flush=True)
        read_noise_levels(suite, options.clips, folder, options.workers, options.levels, readers)
    return 0


def write_picture(path: Path, worlds: Sequence[str], seed: int) -> None:
    """A row for each world: first frames of some clips, and the last frame of the first one."""
    rows = []
    for name in worlds:
        suite = HardSuite(name, seed)
        clips = [suite.clip(suite.case(index)).frames for index in PICTURED]
        rows.append(np.concatenate([clips[0][-1], *(clip[0] for clip in clips)], axis=1))
    Image.fromarray(np.concatenate(rows)).save(path)


if __name__ == "__main__":
    sys.exit(main())
