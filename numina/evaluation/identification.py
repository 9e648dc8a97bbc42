"""What is identified at each noise level of a plain run, against what the finished clip holds."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from torch import Tensor

from numina.attend import Attend, Attention, Moment
from numina.attention.capture import Capture, CaptureSpec, Recorder
from numina.attention.clean_prediction import CleanPrediction
from numina.evaluation.clip import first_video
from numina.evaluation.failure import EvaluationError
from numina.evaluation.instances import Matches, matched_instances
from numina.evaluation.methods import SPRITE_PATCHES
from numina.evaluation.suites import Case, MaskedSuite
from numina.evaluation.true_layout import grid_of, true_layout
from numina.generation.look_steps import first_step_at
from numina.generation.request import Counts, resolve_request
from numina.generation.run import PipelineRun, denoisers
from numina.integrations import Site, adapter_for
from numina.layout import Layout
from numina.methods.method import Method
from numina.methods.paper import Paper
from numina.methods.robust import Robust

LEVELS = (0.93, 0.87, 0.8, 0.73, 0.67, 0.66, 0.6, 0.5, 0.4)


@dataclass(frozen=True)
class Reader:
    """Who identifies, and from which clean latent.

    Attributes:
        method: Who identifies.
        clean: The latent that is predicted in the step of the look, as in one-pass mode, or in the
            step before: the verdict of restart mode falls in the middle of its step.
    """

    method: Method
    clean: Literal["same step", "step before"] = "same step"


READERS: Mapping[str, Reader] = MappingProxyType(
    {
        "robust": Reader(Robust()),
        "robust-verdict": Reader(Robust(), clean="step before"),
        "robust-attention": Reader(Robust(evidence="attention")),
        "paper": Reader(Paper()),
        "paper-scaled": Reader(Paper(instance_patches=SPRITE_PATCHES)),
    }
)


@dataclass(frozen=True)
class Reading:
    """What one reader saw at one noise level, noun by noun.

    Attributes:
        evidence: Name of the reader.
        step: Denoising step.
        noise: Its noise level.
        seen: Instances counted: those of the video where they are linked over the frames, else the
            median over the frames. None where no usable layout was found.
        found: Instances found, summed over the latent frames.
        matched: How many of them are instances of the finished clip.
    """

    evidence: str
    step: int
    noise: float
    seen: tuple[float, ...] | None
    found: tuple[int, ...]
    matched: tuple[int, ...]


@dataclass(frozen=True)
class ReadClip:
    """A finished plain clip and all readings on its way.

    Attributes:
        seed: Seed of the case.
        prompt: The prompt.
        nouns: What was counted.
        targets: The count asked for, per noun.
        counts: Exact count per noun and frame, ``[G][F]``.
        true: Instances of the true layout per noun, summed over the latent frames.
        readings: By noise level and reader.
    """

    seed: int
    prompt: str
    nouns: tuple[str, ...]
    targets: tuple[int, ...]
    counts: tuple[tuple[int, ...], ...]
    true: tuple[int, ...]
    readings: tuple[Reading, ...]

    @property
    def key(self) -> int:
        """The seed."""
        return self.seed

    @property
    def subject(self) -> str:
        """The same in words."""
        return f"seed {self.seed}"

    @property
    def held(self) -> tuple[float, ...]:
        """What the finished clip holds of each noun: the median over its frames."""
        return tuple(float(np.median(counts)) for counts in self.counts)

    def fields(self) -> dict[str, Any]:
        """The clip as plain JSON values."""
        return asdict(self)

    @classmethod
    def of(cls, fields: dict[str, Any]) -> "ReadClip":
        """The clip again.

        Raises:
            ValueError, TypeError, KeyError or AttributeError: If they are none.
        """
        clip = cls(
            seed=int(fields.pop("seed")),
            nouns=tuple(fields.pop("nouns")),
            targets=_whole(fields.pop("targets")),
            counts=tuple(_whole(part) for part in fields.pop("counts")),
            true=_whole(fields.pop("true")),
            readings=tuple(_reading(part) for part in fields.pop("readings")),
            **fields,
        )
        parts = [clip.targets, clip.counts, clip.true]
        for reading in clip.readings:
            parts += [reading.found, reading.matched]
            parts += [] if reading.seen is None else [reading.seen]
        if {len(part) for part in parts} != {len(clip.nouns)}:
            raise ValueError(f"not every part has an entry for each of {clip.nouns}")
        return clip

    def matches(self, reading: Reading) -> tuple[Matches, ...]:
        """How many instances of each noun a reading found in their places."""
        parts = zip(reading.found, self.true, reading.matched, strict=True)
        return tuple(Matches(*part) for part in parts)


def read_clip(
    pipe: Any,
    suite: MaskedSuite,
    case: Case,
    levels: Sequence[float] = LEVELS,
    readers: Mapping[str, Reader] = READERS,
) -> ReadClip:
    """Run a case plainly, read it at many noise levels, and compare with what came out.

    All readers look at one and the same run, whose clip is that of the plain pipeline bit for bit.

    Args:
        pipe: The pipeline.
        suite: Whose case it is.
        case: The case.
        levels: Noise levels; each stands for the first step that has it or a lower one.
        readers: Who looks, by the name to report it under.

    Raises:
        EvaluationError: If the prompt is not read as the case means it.
        ScheduleError: If no step has one of the levels.
    """
    looks = _Looks(pipe, suite, case, readers)
    run = PipelineRun(
        pipe, {"prompt": case.prompt, **suite.call(case)}, on_encoded=looks.text.measure
    )
    steps = {first_step_at(run.noises, level) for level in levels}
    attends = looks.attends(run.num_layers, steps)
    watch = CleanPrediction(run.combination, looks.take)
    frames = first_video(run.attempt(attends, "identify", watch).output)
    counts = suite.count(frames, case)
    true = true_layout(suite.masks(frames, case), grid_of(pipe, frames), suite.tracked)
    nouns = range(len(case.nouns))
    present = Layout(np.zeros_like(true.labels), ())
    readings = []
    for name, step, noise, layout, seen in looks.taken:
        matches = [matched_instances(layout or present, true, noun) for noun in nouns]
        readings.append(
            Reading(
                evidence=name,
                step=step,
                noise=noise,
                seen=seen,
                found=tuple(each.found for each in matches),
                matched=tuple(each.matched for each in matches),
            )
        )
    return ReadClip(
        seed=case.seed,
        prompt=case.prompt,
        nouns=case.nouns,
        targets=case.targets,
        counts=tuple(tuple(int(n) for n in noun) for noun in counts),
        true=tuple(matched_instances(true, true, noun).true for noun in nouns),
        readings=tuple(readings),
    )


class _Looks:
    """Takes the looks of all readers while one run goes on.

    Readers that look at the same layers share one recorder.
    """

    def __init__(
        self, pipe: Any, suite: MaskedSuite, case: Case, readers: Mapping[str, Reader]
    ) -> None:
        self._readers = readers
        self._recorders: dict[CaptureSpec, Recorder] = {}
        self._steps: frozenset[int] = frozenset()
        self._before: Tensor | None = None
        self.taken: list[tuple[str, int, float, Layout | None, tuple[float, ...] | None]] = []
        self._nouns = range(len(case.nouns))
        adapter, call = adapter_for(denoisers(pipe)[0]), suite.call(case)
        counts: Counts = "required"
        if case.told:
            counts = dict(zip(case.nouns, case.targets, strict=True))
        request = resolve_request(pipe, case.prompt, counts, "subjects", adapter, call)
        if request.rows[0].counts != case.targets:
            raise EvaluationError(
                f"{case.prompt!r} asks for {case.targets}, but was read as {request.rows[0].counts}"
            )
        self.text = request.text()

    def attends(self, num_layers: int, steps: set[int]) -> dict[Site, Attend]:
        """The recorders where they look, one behind the other where several do."""
        self._steps = frozenset(steps)
        attends: dict[Site, Attend] = {}
        for spec in dict.fromkeys(reader.method.capture for reader in self._readers.values()):
            layers = spec.cross_layers(num_layers)
            recorder = Recorder(self.text, steps, layers=layers)
            self._recorders[spec] = recorder
            places = {Site(layer, "cross"): recorder.cross for layer in layers}
            if (features := spec.feature_layer(num_layers)) is not None:
                places[Site(features, "self")] = recorder.self_attention
            for site, attend in places.items():
                attends[site] = _before(attend, attends[site]) if site in attends else attend
        return attends

    def take(self, step: int, clean: Tensor) -> None:
        """Identify at the end of a step, if it is one to look at."""
        if step in self._steps:
            for name, reader in self._readers.items():
                latent = clean if reader.clean == "same step" else self._before
                (capture,) = self._recorders[reader.method.capture].captures(latent, step)
                self._note(name, reader.method, capture)
        self._before = clean

    def _note(self, name: str, method: Method, capture: Capture) -> None:
        sighting, layout, seen = method.identify(capture), None, None
        if sighting is not None:
            layout = sighting.layout
            if sighting.tracks is not None:
                seen = tuple(float(layout.count(noun)) for noun in self._nouns)
            else:
                medians = (np.median(layout.count_per_frame(noun)) for noun in self._nouns)
                seen = tuple(float(median) for median in medians)
        self.taken.append((name, capture.step, capture.noise, layout, seen))


def _before(first: Attend, then: Attend) -> Attend:
    """An attention function that gives to another one what it takes for the model's own."""

    def attend(
        query: Tensor, key: Tensor, value: Tensor, moment: Moment, stock: Attention
    ) -> Tensor:
        def inner(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            return then(query, key, value, moment, stock)

        return first(query, key, value, moment, inner)

    return attend


def _reading(fields: dict[str, Any]) -> Reading:
    seen = fields.pop("seen")
    return Reading(
        seen=None if seen is None else tuple(float(value) for value in seen),
        found=_whole(fields.pop("found")),
        matched=_whole(fields.pop("matched")),
        **fields,
    )


def _whole(values: Sequence[Any]) -> tuple[int, ...]:
    if not all(isinstance(value, int) for value in values):
        raise ValueError(f"{values!r} are no whole numbers")
    return tuple(values)
