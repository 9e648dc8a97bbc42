"""What is compared by name: numina's methods, controls with a given layout, best of seeds."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from numina.attention.clean_prediction import CleanPrediction
from numina.evaluation.ablation import VARIANTS
from numina.evaluation.clip import Clip, Evaluated, Plain, Task, first_video, plain_clip
from numina.evaluation.failure import EvaluationError
from numina.evaluation.suites import Case, MaskedSuite
from numina.evaluation.true_layout import grid_of, misplaced, true_tracks
from numina.generation.enforcement import Enforcement
from numina.generation.look_steps import look_steps
from numina.generation.request import resolve_request
from numina.generation.run import PipelineRun, denoisers
from numina.integrations import Site, adapter_for
from numina.layout import LayoutEdit
from numina.methods.method import Method, Mode, Sighting
from numina.methods.paper import Paper
from numina.methods.robust import Robust
from numina.pipeline import generate
from numina.record import CountReport
from numina.searching import search

# Patches that a sprite has on average in the true layout of true clips (40 seeds), in the first
# latent frame as in the others.
SPRITE_PATCHES = 7.1


@dataclass(frozen=True)
class Guided:
    """``numina.generate`` with a method, reading the counts from the prompt unless it is told."""

    method: Method
    mode: Mode
    rounds: int = 1
    needs_plain: bool = False
    needs_masks: ClassVar[bool] = False

    def generate(self, task: Task) -> Clip:
        case, started = task.case, time.perf_counter()
        video = generate(
            task.pipe,
            case.prompt,
            counts=dict(zip(case.nouns, case.targets, strict=True)) if case.told else "auto",
            preset=self.method,
            mode=self.mode,
            rounds=self.rounds,
            **task.suite.call(case),
        )
        return _told(video, video.report, case, time.perf_counter() - started)


@dataclass(frozen=True)
class Searched:
    """``numina.search`` with a method: seeds are left at the look, told from the layout alone.

    Attributes:
        method: Who looks and guides.
        seeds: Runs at most, that of the plain clip's noise included.
        rounds: Guided runs where no seed is right.
    """

    method: Method
    seeds: int = 5
    rounds: int = 1
    needs_plain: bool = False
    needs_masks: ClassVar[bool] = False

    def generate(self, task: Task) -> Clip:
        case, started = task.case, time.perf_counter()
        call = task.suite.call(case)
        del call["generator"]
        found = search(
            task.pipe,
            case.prompt,
            seeds=[case.noise_seed(attempt) for attempt in range(self.seeds)],
            counts=dict(zip(case.nouns, case.targets, strict=True)) if case.told else "required",
            preset=self.method,
            rounds=self.rounds,
            **call,
        )
        return _told(found, found.report, case, time.perf_counter() - started)


@dataclass(frozen=True)
class GivenLayout:
    """Guidance by the true layout of the plain clip, refined as usual.

    A control: with the true places it bounds what identification could bring, with wrong places
    it shows what a method gets without knowing where anything is. A plain clip whose layout is
    right is kept. Identification costs nothing, so a guided clip counts as one run.

    Attributes:
        method: Who refines the layout and guides.
        misplaced: Whether the layout is rolled to wrong places.
        mode: When guidance sets in: ``"restart"`` from the first step on, ``"one-pass"`` after the
            step of the first look, when the sprites have begun to form where they stand.
    """

    method: Method
    misplaced: bool = False
    mode: Mode = "restart"
    needs_plain: bool = True
    needs_masks: ClassVar[bool] = True

    def generate(self, task: Task) -> Clip:
        plain, started = _plain_of(task), time.perf_counter()
        sighting = self._sighting(task)
        nouns = range(len(task.case.targets))
        seen = (tuple(sighting.layout.count(noun) for noun in nouns),)
        edit = self._edit(sighting, task)
        if edit is None:
            return replace(plain, decision="continued", seen=seen)
        frames, forwards = _guided_by(edit, task, self.method, self.mode)
        return Clip(frames, forwards, time.perf_counter() - started, "guided", seen)

    def edit(self, task: Task) -> LayoutEdit | None:
        """What it asks of the plain clip of a task; None where that is right."""
        return self._edit(self._sighting(task), task)

    def _edit(self, sighting: Sighting, task: Task) -> LayoutEdit | None:
        targets = task.case.targets
        if self.method.is_right(sighting, targets):
            return None
        if self.misplaced:
            assert sighting.tracks is not None, "they were just made"
            tracks = misplaced(sighting.tracks)
            sighting = replace(sighting, layout=tracks.layout, tracks=tracks)
        return self.method.refine(sighting, targets)

    def _sighting(self, task: Task) -> Sighting:
        assert isinstance(task.suite, MaskedSuite), "the runner refuses the others"
        frames = _plain_of(task).frames
        masks = task.suite.masks(frames, task.case)
        grid = grid_of(task.pipe, frames)
        tracks = true_tracks(masks, grid, task.suite.tracked)
        focus = np.zeros((len(task.case.targets), *tracks.layout.labels.shape), np.float32)
        return Sighting(tracks.layout, focus, tracks=tracks)


@dataclass(frozen=True)
class BestOfSeeds:
    """Plain runs from other noise until the suite's counter is content; the best one is kept.

    Attributes:
        seeds: Runs at most, that of the plain clip included.
    """

    seeds: int = 5
    needs_plain: bool = True
    needs_masks: ClassVar[bool] = False

    def generate(self, task: Task) -> Clip:
        best = _plain_of(task)
        share, forwards, seconds = _accuracy(best, task), best.forwards, best.seconds
        for attempt in range(1, self.seeds):
            if share == 1:
                break
            clip = plain_clip(task, attempt)
            forwards, seconds = forwards + clip.forwards, seconds + clip.seconds
            if _accuracy(clip, task) > share:
                best, share = clip, _accuracy(clip, task)
        return replace(best, forwards=forwards, seconds=seconds)


METHODS: Mapping[str, Evaluated] = MappingProxyType(
    {
        "plain": Plain(),
        "paper": Guided(Paper(), "restart"),
        "paper-scaled": Guided(Paper(instance_patches=SPRITE_PATCHES), "restart"),
        "robust": Guided(Robust(), "restart"),
        "robust-2": Guided(Robust(), "restart", rounds=2),
        "robust-attention": Guided(Robust(evidence="attention"), "restart"),
        "one-pass": Guided(Robust(), "one-pass"),
        "one-pass-attention": Guided(Robust(evidence="attention"), "one-pass"),
        "oracle": GivenLayout(Robust()),
        "misplaced": GivenLayout(Robust(), misplaced=True),
        "oracle-one-pass": GivenLayout(Robust(), mode="one-pass"),
        "misplaced-one-pass": GivenLayout(Robust(), misplaced=True, mode="one-pass"),
        "seed-search-5": BestOfSeeds(5),
        "layout-search-5": Searched(Robust(), seeds=5, rounds=0),
        "search-5": Searched(Robust(), seeds=5),
    }
)


def methods_named(names: Iterable[str]) -> dict[str, Evaluated]:
    """Methods of ``METHODS`` and variants of ``VARIANTS`` by their names, in that order.

    Args:
        names: Their names; ``"robust:all"`` stands for all variants of ``"robust"``.

    Raises:
        ValueError: If a name is unknown or comes twice, or none came.
    """
    chosen: dict[str, Evaluated] = {}
    for asked in names:
        for name in _members(asked):
            if name in chosen:
                raise ValueError(f"method {name!r} was named twice")
            chosen[name] = METHODS[name] if name in METHODS else _varied(name)
    if not chosen:
        raise ValueError(f"name a method at least: {', '.join(METHODS)}")
    return chosen


def _members(name: str) -> list[str]:
    """The names that a name stands for: itself, or all variants of a preset."""
    preset, colon, what = name.partition(":")
    variants = [each for each in VARIANTS if each.startswith(f"{preset}:")]
    if colon and what == "all" and variants:
        return variants
    if name in METHODS or name in VARIANTS:
        return [name]
    known = [*variants, f"{preset}:all"] if colon and variants else METHODS
    raise ValueError(f"there is no method {name!r}; choose from {', '.join(known)}")


def _varied(name: str) -> Guided:
    variant = VARIANTS[name]
    return Guided(variant.method, variant.mode, variant.rounds)


def _plain_of(task: Task) -> Clip:
    assert task.plain is not None, "the runner provides the plain clip"
    return task.plain


def _told(video: Any, report: CountReport, case: Case, seconds: float) -> Clip:
    """The clip that a counted run made, if it counted what the case asks for."""
    read = tuple(target.count for target in report.targets)
    if read != case.targets:
        raise EvaluationError(f"{case.prompt!r} asks for {case.targets}, but was read as {read}")
    seen = tuple(
        tuple(look.edit.before.count(noun) for noun in range(len(read))) for look in report.looks
    )
    return Clip(first_video(video), report.total.forwards, seconds, report.decision, seen)


def _guided_by(
    edit: LayoutEdit, task: Task, method: Method, mode: Mode
) -> tuple[NDArray[np.float32], float]:
    """Frames of a run that enforces ``edit`` as early as ``mode`` can, and its forwards."""
    pipe, case, call = task.pipe, task.case, task.suite.call(task.case)
    adapter = adapter_for(denoisers(pipe)[0])
    request = resolve_request(pipe, case.prompt, "required", "subjects", adapter, call)
    if request.rows[0].counts != case.targets:
        raise EvaluationError(
            f"{case.prompt!r} asks for {case.targets}, but was read as {request.rows[0].counts}"
        )
    text = request.text()
    run = PipelineRun(pipe, {"prompt": case.prompt, **call}, on_encoded=text.measure)
    enforcement = Enforcement(method, run, text, request.num_nouns, mode)
    looked = None
    if mode == "one-pass":
        looked = min(look_steps(run.noises, method.looks, method.strength))
    if looked is None:
        enforcement.enforce([edit])

    def look(step: int, _: Tensor) -> None:
        if step == looked:
            enforcement.enforce([edit])

    watch = CleanPrediction(run.combination, look, inner=enforcement.erasure)
    sites = [Site(layer, "cross") for layer in range(run.num_layers)]
    attends = dict.fromkeys(sites, enforcement.guide)
    attempt = run.attempt(attends, "guide", enforcement.grafted(watch))
    return first_video(attempt.output), attempt.cost.forwards


def _accuracy(clip: Clip, task: Task) -> float:
    counts = task.suite.count(clip.frames, task.case)
    return float((counts == np.array(task.case.targets)[:, None]).mean())
