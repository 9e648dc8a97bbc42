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

    A file that is there already, of the same benchmark, seeds and commit, is gone on with.

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
    made_with = {
        "benchmark": description,
        "seed": options.seed,
        "commit": commit(),
        "versions": versions(),
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    try:
        rows, done = _made_before(options.out, made_with)
    except ValueError as error:
        parser.error(str(error))
    torch.set_num_threads(1)
    suite = SpritesSuite(options.seed)
    pipe = suite.load()
    pipe.set_progress_bar_config(disable=True)
    for seed in range(options.seed + done, options.seed + options.prompts):
        rows += rows_of(pipe, suite, seed)
        done += 1
        record = {**made_with, "clips": done, "summary": summary_of(rows), "rows": rows}
        # Whole or not at all: it may be what the next run goes on with.
        partial = options.out.with_name(f"{options.out.name}.partial")
        partial.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        partial.replace(options.out)
    for line in summary_of(rows):
        print(" ".join(f"{name}: {value}" for name, value in line.items()))
    return 0


def _made_before(out: Path, made_with: dict[str, Any]) -> tuple[Rows, int]:
    """The rows of a file, and of how many clips they are; none where there is no file.

    Raises:
        ValueError: If the file is of another benchmark, of other seeds or of other code.
    """
    if not out.exists():
        return [], 0
    found = json.loads(out.read_text(encoding="utf-8"))
    changed = found.get("commit") is not None and found["commit"]["dirty"]
    for name, value in made_with.items():
        if found.get(name) != value or (changed and name == "commit"):
            raise ValueError(
                f"{out} was made with {name} {found.get(name)!r}, this run has {value!r}; "
                "name another file with --out"
            )
    return found["rows"], found["clips"]
