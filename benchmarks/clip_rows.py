"""The command line of a benchmark that makes clips of the built-in world, some rows for each."""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from numina.evaluation.provenance import commit, versions
from numina.evaluation.suites import REPORTING_SEED, SpritesSuite

Rows = list[dict[str, Any]]


def record_clips(
    description: str,
    rows_of: Callable[[Any, SpritesSuite, int], Rows],
    summary_of: Callable[[Rows], Rows],
    arguments: Sequence[str] | None = None,
) -> int:
    """Write the rows of one clip after the other, and what they come to, to one JSON file.

    Args:
        description: For ``--help``.
        rows_of: Makes the clip of a pipeline, a suite and a seed, and tells of it.
        summary_of: What all rows so far come to.
        arguments: Of the command line.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--prompts", type=int, default=24)
    parser.add_argument("--seed", type=int, default=REPORTING_SEED)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    suite = SpritesSuite(options.seed)
    pipe = suite.load()
    pipe.set_progress_bar_config(disable=True)
    made_with = {"commit": commit(), "versions": versions()}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    rows: Rows = []
    for seed in range(options.seed, options.seed + options.prompts):
        rows += rows_of(pipe, suite, seed)
        record = {"seed": options.seed, **made_with, "summary": summary_of(rows), "rows": rows}
        options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    for line in summary_of(rows):
        print(" ".join(f"{name}: {value}" for name, value in line.items()))
    return 0
