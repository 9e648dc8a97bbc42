"""One prompt run plainly and counted, from the same noise, and told as a story."""

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from numina.record import Cost, CountReport
from numina.report import RunStory, TargetTally
from numina.report.frames import single_video, to_uint8
from numina.report.story import Tally
from numina.versions import installed_versions

CountFrames = Callable[[CountReport, NDArray[Any]], tuple[Tally, ...]]
"""Counts the targets of a report in decoded frames ``[F, Y, X, 3]``."""


@dataclass(frozen=True)
class RunRequest:
    """What to run.

    Attributes:
        prompt: The prompt.
        seed: Seed of the noise of both runs.
        counting: Arguments of ``numina.pipeline.generate`` beside the pipeline's own.
        call: The pipeline's own arguments.
        compare: Whether the plain run is made as well.
        model: Name of the model in the report.
        fps: Frames a second of the videos.
        revision: Commit of a model from the hub.
    """

    prompt: str
    seed: int
    counting: Mapping[str, Any] = field(default_factory=dict)
    call: Mapping[str, Any] = field(default_factory=dict)
    compare: bool = True
    model: str = ""
    fps: int = 8
    revision: str | None = None


def run_story(pipe: Any, request: RunRequest, count_frames: CountFrames | None = None) -> RunStory:
    """Run the pipeline as asked.

    Args:
        pipe: A diffusers pipeline.
        request: What to run.
        count_frames: An exact counter, where one is known for what the model draws.
    """
    import torch

    from numina.pipeline import generate

    def call() -> dict[str, Any]:
        generator = torch.Generator("cpu").manual_seed(request.seed)
        return {**request.call, "generator": generator, "output_type": "np"}

    show_progress(pipe)
    before, plain = (None, None)
    if request.compare:
        before, plain = _run_plainly(pipe, request.prompt, call())
    video = generate(pipe, request.prompt, **request.counting, **call())
    after = single_video(video.frames)
    exact = None
    if count_frames is not None:
        exact = _exact(video.report, before, after, count_frames)
    versions = installed_versions()
    if request.revision is not None:
        versions["model revision"] = request.revision
    return RunStory(
        report=video.report,
        model=request.model,
        seed=request.seed,
        after=to_uint8(after),
        before=None if before is None else to_uint8(before),
        exact=exact,
        plain=plain,
        versions=versions,
        fps=request.fps,
    )


def show_progress(pipe: Any) -> None:
    """A calm progress bar on a terminal, none elsewhere."""
    pipe.set_progress_bar_config(
        disable=not sys.stderr.isatty(),
        bar_format="  {desc:<10} {bar:32} {n_fmt}/{total_fmt}  {elapsed}",
    )


def _run_plainly(pipe: Any, prompt: str, call: dict[str, Any]) -> tuple[NDArray[Any], Cost]:
    """The stock pipeline call, with nothing attached but a counter of forward passes."""
    from numina.generation.run import denoisers
    from numina.memory import peak_bytes, reset_peak

    forwards = 0

    def count(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        nonlocal forwards
        # One video: every row of the latents, the first argument, is a guidance branch.
        latents, *_ = (*args, *kwargs.values())
        forwards += len(latents)

    hooks = [model.register_forward_pre_hook(count, with_kwargs=True) for model in denoisers(pipe)]
    reset_peak()
    started = time.perf_counter()
    try:
        frames = single_video(pipe(prompt=prompt, **call).frames)
    finally:
        for hook in hooks:
            hook.remove()
    return frames, Cost(float(forwards), time.perf_counter() - started, peak_bytes())


def _exact(
    report: CountReport,
    before: NDArray[Any] | None,
    after: NDArray[Any],
    count_frames: CountFrames,
) -> tuple[TargetTally, ...]:
    afters = count_frames(report, after)
    befores = [None] * len(afters) if before is None else count_frames(report, before)
    return tuple(TargetTally(b, a) for b, a in zip(befores, afters, strict=True))
