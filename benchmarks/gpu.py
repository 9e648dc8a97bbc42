"""All that a GPU is needed for, in one run: ``python benchmarks/gpu.py --out FILE``.

Stages follow each other, each with a share of the time that is left, and the file is written after
every row: what was measured stays when the machine goes. What was skipped, was absent or failed is
a row with its reason. ``--tiny`` shows on any machine that everything runs; on a CPU the C++ or
torch takes the place of Triton, or Triton's interpreter where TRITON_INTERPRET=1 is set, and the
file says so.
"""

import argparse
import json
import os
import random
import sys
import time
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch

from benchmarks.kernels.bench import Bench, Deadline, Stage, reason
from benchmarks.kernels.correctness import correctness
from benchmarks.kernels.provenance import card, environment
from benchmarks.kernels.shapes import SHAPES, TINY
from benchmarks.kernels.speed import ceilings, statistics_of_maps, text
from benchmarks.kernels.steadiness import compiles, graphs, repeats
from benchmarks.kernels.targets import ratios
from numina_kernels import ImplementationError
from numina_kernels.impl import Impl, is_installed, resolve

# In the order in which they are wanted, with their share of the time. Time that a stage leaves
# goes to those behind it.
STAGES: dict[str, tuple[Stage, float]] = {
    "ceilings": (ceilings, 0.02),
    "correctness": (correctness, 0.28),
    "text": (text, 0.30),
    "statistics": (statistics_of_maps, 0.20),
    "graphs": (graphs, 0.08),
    "compiles": (compiles, 0.07),
    "repeats": (repeats, 0.05),
}


class ResultFile:
    """The file of one run, whole at any time."""

    def __init__(self, path: Path | None, content: dict[str, Any]) -> None:
        self.path, self.content = path, content
        self.write()

    def write(self) -> None:
        """Write all that is known so far, under another name first."""
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_name(f".{self.path.name}.partial")
        partial.write_text(json.dumps(self.content, indent=1) + "\n", encoding="utf-8")
        os.replace(partial, self.path)


def run(bench: Bench, chosen: Sequence[str], seconds: float, file: ResultFile) -> None:
    """Run the stages one after the other; one that breaks does not take the others with it."""
    end = time.monotonic() + seconds
    stages = file.content["stages"]
    for name, (stage, share) in STAGES.items():
        if name not in chosen:
            stages[name] = {"status": "not asked for"}
            continue
        shares = [STAGES[each][1] for each in list(STAGES)[list(STAGES).index(name) :]]
        left = max(0.0, end - time.monotonic())
        deadline = Deadline.after(left * share / sum(shares))
        record = stages[name] = {"status": "running", "allowed_seconds": deadline.left, "rows": []}
        start = time.monotonic()
        try:
            for row in stage(bench, deadline):
                record["rows"].append(row)
                file.write()
            record["status"] = "done"
        # Half of the file is worth more than none, whatever went wrong.
        except Exception as error:
            record |= {"status": "failed", "reason": reason(error)}
            record["traceback"] = traceback.format_exc()
        record["seconds"] = time.monotonic() - start
        print(_line(name, record), flush=True)
        file.content["targets"] = ratios(stages, judged=bench.on_gpu and not bench.tiny)
        file.write()


def _line(name: str, record: dict[str, Any]) -> str:
    rows = record["rows"]
    skipped = sum("skipped" in row for row in rows)
    failed = sum(row.get("passed") is False for row in rows)
    told = f"{name:12} {record['status']:8} {record['seconds']:6.1f} s  {len(rows)} rows"
    told += f", {skipped} skipped" if skipped else ""
    told += f", {failed} FAILED" if failed else ""
    return told + (f"  {record['reason']}" if "reason" in record else "")


def _print_targets(rows: Sequence[dict[str, Any]]) -> None:
    for row in rows:
        if "skipped" in row:
            print(f"  {'skipped':>8}  {row['figure']} {row.get('shape', '')}: {row['skipped']}")
            continue
        value = row.get("ratio", row.get("share"))
        verdict = {True: ", met", False: ", MISSED", None: ""}[row.get("met")]
        print(f"  {value:8.3f}  {row['figure']}, {row['shape']}{verdict}")


def our_impl(asked: str | None, device: torch.device) -> Impl:
    """What is measured: Triton on a GPU or interpreted, else the best there is for a CPU.

    Raises:
        ImplementationError: If what was asked for, or Triton beside a GPU, is not installed.
    """
    if asked is not None or device.type == "cuda":
        return resolve(asked or Impl.TRITON, device.type)
    if is_installed(Impl.TRITON):
        from numina_kernels.triton.launch import architecture

        try:
            architecture(torch.empty(0))
        except ImplementationError:  # Triton was imported without its interpreter.
            return resolve(None, "cpu")
        return Impl.TRITON
    return resolve(None, "cpu")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write, and say whether all that ran was right."""
    parser = _parser()
    parsed = parser.parse_args(arguments)
    chosen = _chosen(parser, "--stages", parsed.stages, STAGES)
    shapes = {shape.name: shape for shape in (TINY if parsed.tiny else SHAPES)}
    if parsed.shapes is not None:
        names = _chosen(parser, "--shapes", parsed.shapes, shapes)
        shapes = {name: shapes[name] for name in names}
    if parsed.out is not None and parsed.out.exists():
        parser.error(f"{parsed.out} exists: result files are added, never overwritten")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu" and not parsed.tiny:
        parser.error("there is no CUDA device; --tiny shows on a CPU that everything runs")
    try:
        impl = our_impl(parsed.impl, device)
    except ImplementationError as error:
        parser.error(str(error))

    few, many = (2, 3) if parsed.tiny else (30, 100)
    bench = Bench(
        device=device,
        impl=impl,
        shapes=tuple(shapes.values()),
        dtype=torch.bfloat16,
        repeats=parsed.repeats or few,
        bit_repeats=many,
        seed=random.SystemRandom().randrange(2**16) if parsed.seed is None else parsed.seed,
        tiny=parsed.tiny,
    )
    command = ["python", "benchmarks/gpu.py", *(sys.argv[1:] if arguments is None else arguments)]
    file = ResultFile(parsed.out, _head(bench, " ".join(command), parsed.budget_minutes))
    print(f"{file.content['environment']['device']}, impl {impl}, seed {bench.seed}", flush=True)
    with torch.no_grad():
        run(bench, chosen, 60 * parsed.budget_minutes, file)
    if bench.on_gpu:
        # Beside what it said before: a card that throttled is known by it.
        file.content["driver_says_after"] = card()
    file.content["complete"] = True
    file.write()
    _print_targets(file.content["targets"])
    return 0 if _all_right(file.content["stages"]) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="result file; must not exist")
    parser.add_argument("--stages", default=",".join(STAGES), help="some of %(default)s")
    parser.add_argument("--budget-minutes", type=float, default=9.0, help="for all stages")
    parser.add_argument("--repeats", type=int, help="most samples of a time; 30, tiny 2")
    parser.add_argument("--seed", type=int, help="of the inputs; a fresh one by default")
    parser.add_argument("--shapes", help="some of " + ",".join(shape.name for shape in SHAPES))
    parser.add_argument("--impl", help="what is measured; triton by default, on a CPU the best")
    parser.add_argument("--tiny", action="store_true", help="only show that everything runs")
    return parser


def _chosen(
    parser: argparse.ArgumentParser, option: str, text: str, known: Iterable[str]
) -> list[str]:
    chosen = [name.strip() for name in text.split(",")]
    unknown = [name for name in chosen if name not in known]
    if unknown:
        parser.error(f"{option} must be some of {','.join(known)}, got {','.join(unknown)}")
    return chosen


def _head(bench: Bench, command: str, minutes: float) -> dict[str, Any]:
    """All of the file that is known before anything was measured."""
    return {
        "command": command,
        "complete": False,
        "tiny": bench.tiny,
        "settings": {
            "impl": str(bench.impl),
            "triton_is_interpreted": bench.impl is Impl.TRITON and not bench.on_gpu,
            "dtype": str(bench.dtype),
            "repeats": bench.repeats,
            "bit_repeats": bench.bit_repeats,
            "seed": bench.seed,
            "budget_minutes": minutes,
            "timer": "CUDA events, L2 cache overwritten" if bench.on_gpu else "perf_counter",
        },
        "environment": environment(bench.device),
        "stages": {},
        "targets": [],
    }


def _all_right(stages: dict[str, Any]) -> bool:
    records = [record for record in stages.values() if record["status"] != "not asked for"]
    rows = [row for record in records for row in record["rows"]]
    return all(record["status"] == "done" for record in records) and all(
        row.get("passed", True) for row in rows
    )


if __name__ == "__main__":
    sys.exit(main())
