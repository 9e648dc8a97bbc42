"""Counted runs on a transformer that is split over ranks, and the same ones alone."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from diffusers import ContextParallelConfig
from diffusers.hooks import context_parallel
from torch import Tensor, distributed

from numina.auditing import Audit, audit
from numina.errors import RanksDisagreeError
from numina.layout import Layout
from numina.methods.method import Sighting
from numina.methods.paper import Paper
from numina.methods.robust import Robust
from numina.searching import search
from numina.share import PatchSlice
from tests.calls import wide_call
from tests.pipeline.wide_runs import LOOK, Finds, counted, left_as_it_was
from tests.tiny_cogvideox import wide_kwargs
from tests.tiny_wan import PROMPT, tiny_wan
from tests.tiny_wan_image import tiny_wan_image


@dataclass(frozen=True)
class FindsAsPublished(Paper):
    """The published capture and bias; finds ``found`` instances whatever it sees.

    Each is a column of patches, so that a template of the middle frame is held by both ranks.
    """

    found: int = 2
    verdict: float = LOOK
    captures: list = field(default_factory=list)

    def identify(self, capture, expected=None):
        self.captures.append(capture)
        focus = np.zeros((capture.probs.shape[2], *capture.grid.shape), np.float32)
        labels = np.zeros(capture.grid.shape, np.int16)
        for label in range(1, self.found + 1):
            labels[..., 2 * label - 2] = label
        return Sighting(Layout(labels, (0,) * self.found), focus)


@dataclass(frozen=True)
class SeesForItself(Robust):
    """The robust preset as it is, at a noise level that a run of four steps has."""

    verdict: float = LOOK
    looks: tuple[float, ...] = (LOOK,)
    captures: list = field(default_factory=list)

    def identify(self, capture, expected=None):
        self.captures.append(capture)
        return super().identify(capture, expected)


@dataclass(frozen=True)
class Case:
    """A counted run.

    Attributes:
        method: Makes the method, which keeps its ``captures``.
        mode: ``"one-pass"`` or ``"restart"``.
        changes: Arguments of the pipeline call that differ from those of ``wide_call``.
        build: Makes the pipeline.
        anything: Whether the patches do not divide by the ranks.
    """

    method: Callable[[], Any]
    mode: str
    changes: dict[str, Any] = field(default_factory=dict)
    build: Callable[[], Any] = tiny_wan
    anything: bool = False


RIGHT, WRONG = partial(Finds, found=(3,)), partial(Finds, found=(2, 3))
# 3 frames of 5 x 5 patches: 38 on the first rank and 37 on the second.
ODD = {"height": 80, "width": 80}
CASES = {
    "right in one pass": Case(RIGHT, "one-pass"),
    "right with a restart": Case(RIGHT, "restart"),
    "wrong in one pass": Case(WRONG, "one-pass"),
    "wrong with a restart": Case(WRONG, "restart"),
    "an odd number of patches": Case(WRONG, "restart", ODD, anything=True),
    "two videos": Case(WRONG, "one-pass", {"prompt": [PROMPT, PROMPT.replace("three", "two")]}),
    "two transformers": Case(WRONG, "restart", build=partial(tiny_wan, two_transformers=True)),
    "right as published": Case(partial(FindsAsPublished, found=3), "restart"),
    "from an image": Case(WRONG, "one-pass", build=tiny_wan_image),
    "from an image in a frame's place": Case(
        WRONG, "restart", build=partial(tiny_wan_image, "2.2-5b")
    ),
    "as published": Case(FindsAsPublished, "restart"),
    "seeing for itself": Case(SeesForItself, "restart"),
}


@dataclass(frozen=True)
class Outcome:
    """What a run made.

    Attributes:
        plain: Frames of the plain pipeline.
        frames: Frames of the counted run.
        decisions: What was decided about each video.
        looks: The label maps that were seen and asked for, of every look.
        captures: What was recorded, of every look: probabilities, clean latent, features if any.
    """

    plain: Tensor
    frames: Tensor
    decisions: list[str]
    looks: list[Tensor]
    captures: list[Tensor]


def split(pipe: Any, **changes: Any) -> None:
    """Split the transformers of a pipeline over the ranks."""
    for model in (pipe.transformer, getattr(pipe, "transformer_2", None)):
        if model is not None:
            model.enable_parallelism(config=ContextParallelConfig(ulysses_degree=2, **changes))


def gathered_unevenly(tensor: Tensor, dim: int, group: Any) -> Tensor:
    """What diffusers asks of `all_gather`, which gloo has for parts of one size alone."""
    parts: list[Any] = [None] * distributed.get_world_size(group)
    distributed.all_gather_object(parts, tensor, group=group)
    return torch.cat(parts, dim=dim)


def run_case(case: Case, is_split: bool = False, **changes: Any) -> Outcome:
    pipe, method = case.build(), case.method()
    if case.anything:
        context_parallel._all_gather_anything = gathered_unevenly
    if is_split:
        split(pipe, ulysses_anything=case.anything)
    changes = {**case.changes, **changes}
    # That a run alone leaves the pipeline as it was is tested elsewhere.
    with left_as_it_was(pipe, **changes) if is_split else plainly(pipe, **changes) as plain:
        video = counted(pipe, method, case.mode, **changes)
    edits = [look.edit for report in video.reports for look in report.looks]
    return Outcome(
        plain,
        video.frames,
        [report.decision for report in video.reports],
        [torch.from_numpy(part.labels) for edit in edits for part in (edit.before, edit.after)],
        [
            part
            for seen in method.captures
            for part in (seen.probs, seen.clean, seen.features)
            if part is not None
        ],
    )


@contextmanager
def plainly(pipe: Any, **changes: Any) -> Iterator[Tensor]:
    """The plain video."""
    yield pipe(**wide_call(pipe, **changes)).frames


@dataclass(frozen=True)
class Compared:
    """One case, run in three ways.

    Attributes:
        alone: By one process.
        shaken: By one process, from noise whose last bits are others: what rounding comes to.
        split: By both ranks together.
    """

    alone: Outcome
    shaken: Outcome
    split: Outcome


def compared(case: Case) -> Compared:
    return Compared(
        alone=run_case(case),
        shaken=run_case(case, latents=shaken_noise(case)),
        split=run_case(case, is_split=True),
    )


def shaken_noise(case: Case) -> Tensor:
    """The noise of a case, every second value or so larger by its last bit."""
    call = wide_call(case.build(), **case.changes)
    videos = len(call["prompt"]) if isinstance(call["prompt"], list) else 1
    shape = (videos, 16, 3, call["height"] // 8, call["width"] // 8)
    noise = torch.randn(shape, generator=call["generator"])
    larger = torch.rand(shape, generator=call["generator"]) < 0.5
    return torch.where(larger, noise * (1 + torch.finfo(noise.dtype).eps), noise)


def of_the_right_seed(rank: int) -> tuple[str, Tensor, Tensor]:
    """A search that finishes the second seed: its decision and video, and the plain one."""
    pipe = tiny_wan()
    split(pipe)
    call = wide_kwargs()
    del call["generator"]
    plain = pipe(**call, generator=torch.Generator().manual_seed(7)).frames
    prompt, seeds = call.pop("prompt"), (5, 7)
    found = search(pipe, prompt, seeds=seeds, counts={"cats": 3}, preset=WRONG(), **call)
    return found.report.decision, found.frames, plain


def audited(rank: int) -> tuple[Audit, Audit, Tensor]:
    """An audit alone and on both ranks, and the plain video of both."""
    alone, both = tiny_wan(), tiny_wan()
    split(both)
    plain, call = both(**wide_kwargs()).frames, wide_kwargs()
    del call["generator"]
    prompt = call.pop("prompt")
    audits = [audit(pipe, prompt, method=SeesForItself(), **call) for pipe in (alone, both)]
    return audits[0], audits[1], plain


def refusal_of_other_noise(rank: int) -> dict[str, str]:
    """What is said in each mode where the ranks start from different noise."""
    pipe, said = tiny_wan(), {}
    split(pipe)
    for mode in ("one-pass", "restart"):
        generator = torch.Generator().manual_seed(rank)
        try:
            counted(pipe, Finds(found=(2, 3)), mode, generator=generator)
        except RanksDisagreeError as error:
            said[mode] = str(error)
    return said


def exchanged(rank: int) -> dict[str, Tensor]:
    """What a share makes of ``seven_patches``."""
    share, video = PatchSlice.of_this_rank(7, distributed.group.WORLD), seven_patches()
    part = share.own(video.movedim(1, -1)).movedim(-1, 1)
    return {
        "part": part,
        "whole": share.whole(part, dim=1),
        "half": share.whole(part.half(), dim=1),
        "at": share.at(part, torch.arange(2)[:, None], PLACES),
    }


PLACES = torch.tensor([[6, 0, 3, 3], [4, 5, 1, 0]])


def seven_patches() -> Tensor:
    """``[2, 7, 3]``; one value is not finite."""
    video = torch.randn(2, 7, 3, generator=torch.Generator().manual_seed(0))
    video[1, 5, 0] = torch.inf
    return video


def everything(rank: int) -> dict[str, Any]:
    """All of the above, so that the processes are started once."""
    warnings.simplefilter("ignore")
    return {
        "cases": {name: compared(case) for name, case in CASES.items()},
        "search": of_the_right_seed(rank),
        "audit": audited(rank),
        "other noise": refusal_of_other_noise(rank),
        "exchanged": exchanged(rank),
    }
