"""``numina evaluate``: methods on a suite of prompts, counted exactly."""

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from numina.commands.options import Out
from numina.commands.screen import note

# Each process holds the pipeline and the libraries, about a gigabyte.
_MOST_WORKERS = 8
_METHODS = "plain,paper,robust,one-pass,oracle,misplaced"


class SuiteName(StrEnum):
    """What is drawn and judged."""

    SPRITES = "sprites"


def evaluate(
    out: Out,
    suite: Annotated[SuiteName, typer.Option("--suite", help="Prompts.")] = SuiteName.SPRITES,
    methods: Annotated[
        str, typer.Option("--methods", help="What to compare, separated by commas.")
    ] = _METHODS,
    prompts: Annotated[int, typer.Option("--prompts", min=1, help="Number of prompts.")] = 200,
    seed: Annotated[
        int,
        typer.Option(
            "--seed",
            min=0,
            max=2**31,
            help="Prompt i and its noise depend on seed + i; below 100000 settings were chosen.",
        ),
    ] = 100_000,
    model: Annotated[
        Path | None,
        typer.Option(
            "--model",
            exists=True,
            file_okay=False,
            help="Folder of the suite's pipeline.",
            show_default="the embedded one",
        ),
    ] = None,
    steps: Annotated[int | None, typer.Option("--steps", min=1, help="Denoising steps.")] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            min=1,
            help="Processes, of one thread each.",
            show_default=f"the cores, {_MOST_WORKERS} at most",
        ),
    ] = None,
) -> None:
    """Compare methods on the same prompts and noise; run again, it goes on where it stopped."""
    from numina.evaluation import SpritesSuite
    from numina.evaluation import evaluate as run
    from numina.evaluation.methods import methods_named
    from numina.evaluation.results import SUMMARY

    try:
        chosen = methods_named(name.strip() for name in methods.split(","))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--methods") from None
    settings = () if steps is None else (("num_inference_steps", steps),)
    # Two processes of one thread do twice the work of one process of two threads, and more where
    # other programs want the cores as well: threads wait for each other in every layer.
    workers = workers or min(_MOST_WORKERS, _cores())
    summary = run(chosen, SpritesSuite(seed, model, settings), prompts, out, workers, note)
    typer.echo()
    for line in table(summary):
        typer.echo(f"  {line}")
    typer.echo(f"\n  {out / SUMMARY}")


def table(summary: dict[str, Any]) -> list[str]:
    """The figures of every method, in columns."""
    width = max(map(len, summary["methods"]))
    head = ("CountAcc", "95 %", "TC", "added", "removed", "forwards")
    lines = [" ".join([" " * width, *(f"{name:>9}" for name in head)])]
    for name, figures in summary["methods"].items():
        low, high = figures["ci95"]
        cells = (
            _share(figures["count_acc"]),
            f"{_share(low)}-{_share(high)}",
            _share(figures["temporal_consistency"]),
            _share(figures["additions_reached"]),
            _share(figures["removals_reached"]),
            f"{figures['forwards']:.2f} x",
        )
        lines.append(" ".join([f"{name:{width}}", *(f"{cell:>9}" for cell in cells)]))
    return lines


def _cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
