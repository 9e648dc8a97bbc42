"""``numina evaluate``: methods on a suite of prompts, counted by a counter of choice."""

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from numina.commands.options import (
    Device,
    DeviceOption,
    DType,
    DTypeOption,
    Frames,
    GuidanceScale,
    Height,
    NegativePrompt,
    Offload,
    Revision,
    Steps,
    Width,
    given_call,
)
from numina.commands.screen import note

# Each process holds the pipeline and the libraries, about a gigabyte.
_MOST_WORKERS = 8
_SPRITES_PROMPTS = 200


class SuiteName(StrEnum):
    """What is drawn and judged."""

    SPRITES = "sprites"
    COUNTBENCH = "countbench"
    TRUE_SPRITES = "true-sprites"


class CounterName(StrEnum):
    """Who counts."""

    EXACT = "exact"
    GROUNDING_DINO = "grounding-dino"
    OWLV2 = "owlv2"


# What is compared, where nothing else is asked for. Exact places are known of sprites alone.
_METHODS = {
    SuiteName.SPRITES: "plain,paper,robust,one-pass,oracle,misplaced",
    SuiteName.COUNTBENCH: "plain,paper,robust,one-pass",
    SuiteName.TRUE_SPRITES: "plain",
}


def evaluate(
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for the files.", file_okay=False, show_default=False),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            "--report",
            help="Run nothing; write report.html of the results in this folder, to --out or there.",
            file_okay=False,
            show_default=False,
        ),
    ] = None,
    strips: Annotated[
        int,
        typer.Option(
            "--strips",
            min=0,
            help="Draw this many instructive cases once more, for pictures of them in the report.",
        ),
    ] = 0,
    suite: Annotated[
        SuiteName,
        typer.Option(
            "--suite",
            help="Prompts: of the built-in world, of files, or true clips that judge a counter.",
        ),
    ] = SuiteName.SPRITES,
    methods: Annotated[
        str | None,
        typer.Option(
            "--methods",
            help="What to compare, separated by commas.",
            show_default=_METHODS[SuiteName.SPRITES],
        ),
    ] = None,
    prompts: Annotated[
        int | None,
        typer.Option(
            "--prompts",
            min=1,
            help="Number of prompts.",
            show_default=f"{_SPRITES_PROMPTS}, or all of --prompts-file",
        ),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(
            "--seed",
            min=0,
            max=2**31,
            help="Prompt i and its noise depend on seed + i; below 100000 settings were chosen.",
        ),
    ] = 100_000,
    prompts_file: Annotated[
        Path | None,
        typer.Option("--prompts-file", help="countbench: one prompt a line.", dir_okay=False),
    ] = None,
    counts_file: Annotated[
        Path | None,
        typer.Option(
            "--counts-file",
            help="""countbench: the counts of each prompt, such as {"cats": 3}, one a line.""",
            dir_okay=False,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            help="Folder of the pipeline; of countbench also a hub name.",
            show_default="the embedded one",
        ),
    ] = None,
    counter: Annotated[
        CounterName | None,
        typer.Option(
            "--counter", help="Who counts.", show_default="exact, of countbench grounding-dino"
        ),
    ] = None,
    counter_model: Annotated[
        Path | None,
        typer.Option(
            "--counter-model",
            file_okay=False,
            help="Folder of the detector.",
            show_default="a pinned commit of the hub",
        ),
    ] = None,
    clip_model: Annotated[
        str | None,
        typer.Option(
            "--clip-model",
            help="Measure the CLIP score too: folder of a CLIP, or openai/clip-vit-large-patch14.",
        ),
    ] = None,
    steps: Steps = None,
    frames: Frames = None,
    height: Height = None,
    width: Width = None,
    guidance_scale: GuidanceScale = None,
    negative_prompt: NegativePrompt = None,
    device: DeviceOption = Device.AUTO,
    dtype: DTypeOption = DType.AUTO,
    offload: Offload = False,
    revision: Revision = None,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            min=1,
            help="Processes, of one thread each; none beside those of torchrun or accelerate.",
            show_default=f"the cores, {_MOST_WORKERS} at most; of countbench 1",
        ),
    ] = None,
) -> None:
    """Compare methods on the same prompts and noise; run again, it goes on where it stopped.

    results.jsonl, summary.json and report.html are written.
    """
    if report is not None:
        if methods or prompts or model or strips:
            raise typer.BadParameter(
                "it runs nothing; leave out all but --out", param_hint="--report"
            )
        _report(report, out)
        return
    if out is None:
        raise typer.BadParameter("name a folder, or --report FOLDER", param_hint="--out")

    from numina.evaluation import CountBenchSuite, SpritesSuite
    from numina.evaluation import evaluate as run
    from numina.evaluation.countbench import PipelineSource
    from numina.evaluation.methods import methods_named
    from numina.evaluation.prompt_files import read_counted_prompts
    from numina.evaluation.ranks import Ranks
    from numina.evaluation.rendered_sprites import RenderedSprites
    from numina.evaluation.report import keep_strips
    from numina.evaluation.results import SUMMARY

    try:
        chosen = methods_named(name.strip() for name in (methods or _METHODS[suite]).split(","))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--methods") from None
    call = given_call(steps, frames, height, width, guidance_scale, negative_prompt)
    settings, place = tuple(call.items()), device.value
    placing = dtype is not DType.AUTO or offload or revision is not None
    drawn: Any
    if suite is SuiteName.COUNTBENCH:
        if prompts_file is None or counts_file is None or model is None:
            raise typer.BadParameter(
                "the suite countbench needs all three",
                param_hint="--prompts-file, --counts-file, --model",
            )
        asked = read_counted_prompts(prompts_file, counts_file)
        source = PipelineSource(model, revision, place, dtype.value, offload)
        judge = _counter(counter or CounterName.GROUNDING_DINO, counter_model, place)
        drawn = CountBenchSuite(asked, source, judge, seed, settings)
        number, most_workers = prompts or len(asked), 1
    else:
        _refuse(suite, "--prompts-file, --counts-file", prompts_file or counts_file)
        _refuse(suite, "--dtype, --offload, --revision", placing)
        judge = _counter(counter or CounterName.EXACT, counter_model, place)
        number, most_workers = prompts or _SPRITES_PROMPTS, _MOST_WORKERS
        if suite is SuiteName.SPRITES:
            if model is not None and not Path(model).is_dir():
                raise typer.BadParameter(f"{model} is no folder", param_hint="--model")
            drawn = SpritesSuite(seed, Path(model) if model else None, settings, counter=judge)
        else:
            _refuse(suite, "--model", model)
            _refuse(suite, "--steps, --frames, --height, …", settings)
            _refuse(suite, "--methods other than plain", list(chosen) != ["plain"])
            drawn = RenderedSprites(judge, seed)
    # Two processes of one thread do twice the work of one process of two threads, and more where
    # other programs want the cores as well: threads wait for each other in every layer.
    ranks = Ranks.joined()
    if ranks is not None:
        _refuse_workers(workers, ranks.number)
        workers = 1
    workers = workers or min(most_workers, _cores())
    scorer = _scorer(clip_model, place)
    summary = run(chosen, drawn, number, out, workers, note, scorer, ranks)
    if ranks is not None and not ranks.leads:
        return
    typer.echo()
    lines = counter_lines(summary) if suite is SuiteName.TRUE_SPRITES else table(summary)
    for line in lines:
        typer.echo(f"  {line}")
    if strips:
        keep_strips(out, strips, chosen, drawn, note)
    typer.echo(f"\n  {out / SUMMARY}")
    _report(out)


def table(summary: dict[str, Any]) -> list[str]:
    """The figures of every method, in columns."""
    width = max(map(len, summary["methods"]))
    scored = all("clip_score" in figures for figures in summary["methods"].values())
    head = ("CountAcc", "95 %", "TC", "added", "removed", "forwards", *(["CLIP"] * scored))
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
            *([_share(figures["clip_score"])] if scored else []),
        )
        lines.append(" ".join([f"{name:{width}}", *(f"{cell:>9}" for cell in cells)]))
    return lines


def counter_lines(summary: dict[str, Any]) -> list[str]:
    """How far a counter is off on clips with known truth."""
    figures = summary["methods"]["plain"]
    return [
        f"counted right    {figures['count_acc']:.2f} of frames and nouns",
        f"off by           {figures['mean_absolute_error']:.2f} on average",
        f"of that too many {figures['mean_error']:+.2f}",
    ]


def _report(folder: Path, out: Path | None = None) -> None:
    from numina.evaluation.report import write_page

    typer.echo(f"  {write_page(folder, out)}")


def _counter(name: CounterName, folder: Path | None, device: str) -> Any:
    from numina.evaluation import DetectorCounter, SpritesCounter
    from numina.evaluation.detectors import DETECTORS
    from numina.evaluation.pretrained import Place

    if name is CounterName.EXACT:
        if folder is not None:
            raise typer.BadParameter("the exact counter has none", param_hint="--counter-model")
        return SpritesCounter()
    return DetectorCounter(DETECTORS[name.value], Place(folder, device))


def _scorer(model: str | None, device: str) -> Any:
    from numina.evaluation.clip_score import CLIP, ClipScore
    from numina.evaluation.pretrained import Place

    if model is None:
        return None
    return ClipScore(Place(None if model == CLIP.repo else Path(model), device))


def _refuse(suite: SuiteName, option: str, value: Any) -> None:
    if value:
        raise typer.BadParameter(f"the suite {suite.value} has no use for it", param_hint=option)


def _refuse_workers(workers: int | None, ranks: int) -> None:
    if workers is not None and workers > 1:
        raise typer.BadParameter(
            f"{ranks} processes were launched; launch more of them instead",
            param_hint="--workers",
        )


def _cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
