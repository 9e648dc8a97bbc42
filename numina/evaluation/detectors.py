"""Counters for anything that has a name: open-vocabulary detectors, and with which settings."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from numina.evaluation import grounding_dino, owlv2
from numina.evaluation.counters import pictures
from numina.evaluation.detections import Detections
from numina.evaluation.failure import EvaluationError
from numina.evaluation.pretrained import (
    Judge,
    Network,
    Pinned,
    Place,
    describe_network,
    load_network,
)

# Above this overlap two boxes show one thing whatever they call it. Ours.
ANY_NOUN_OVERLAP = 0.8


@dataclass(frozen=True)
class DetectorSpec:
    """Which detector, at which commit, and what it takes to be counted.

    Attributes:
        name: How its nouns are asked for and its answers read.
        weights: The model.
        box_threshold: Probability that a box must exceed.
        text_threshold: Probability that a word must exceed to name a box; GroundingDINO alone.
        same_noun_overlap: Intersection over union above which two boxes of a noun are one thing.
        any_noun_overlap: The same for boxes of whatever nouns.
    """

    name: Literal["grounding-dino", "owlv2"]
    weights: Pinned
    box_threshold: float
    text_threshold: float
    same_noun_overlap: float
    any_noun_overlap: float = ANY_NOUN_OVERLAP

    def __post_init__(self) -> None:
        for name in ("box_threshold", "text_threshold", "same_noun_overlap", "any_noun_overlap"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in 0..1, got {getattr(self, name)}")


# Thresholds: the paper's, arXiv 2604.08546. Which of the two models it took, and what it did about
# overlaps, is not known to us; the overlap is that of Grounded-SAM (NMS_THRESHOLD = 0.8), by the
# authors of the detector.
GROUNDING_DINO = DetectorSpec(
    "grounding-dino",
    Pinned(
        "IDEA-Research/grounding-dino-base",
        "12bdfa3120f3e7ec7b434d90674b3396eccf88eb",
        "GroundingDinoForObjectDetection",
        "GroundingDinoImageProcessorPil",
    ),
    box_threshold=0.32,
    text_threshold=0.25,
    same_noun_overlap=0.8,
)
# The paper did not use it. Threshold: the default of the model's post-processing in transformers.
# Overlap: its default there for queries by image; for queries by text there is none, and every
# patch of a large object answers with a box of its own.
OWLV2 = DetectorSpec(
    "owlv2",
    Pinned(
        "google/owlv2-base-patch16-ensemble",
        "cfd3195ba4ea9592eec887ded089f4c08eff231d",
        "Owlv2ForObjectDetection",
        "Owlv2ImageProcessorPil",
    ),
    box_threshold=0.1,
    text_threshold=0.0,
    same_noun_overlap=0.3,
)
DETECTORS: Mapping[str, DetectorSpec] = MappingProxyType(
    {spec.name: spec for spec in (GROUNDING_DINO, OWLV2)}
)


@dataclass(frozen=True)
class DetectorCounter(Judge):
    """Counts the boxes that an open-vocabulary detector finds in every frame.

    Attributes:
        spec: The detector.
        place: Where it is loaded from and runs.
        batch: Frames in one forward pass.
    """

    spec: DetectorSpec = GROUNDING_DINO
    place: Place = Place()
    batch: int = 8

    def describe(self) -> dict[str, Any]:
        settings = asdict(self.spec)
        del settings["weights"]
        return {
            **settings,
            "model": describe_network(self.spec.weights, self.place, "counter_model"),
        }

    def prepare(self) -> None:
        _ = self._network

    def count(self, frames: NDArray[np.float32], nouns: Sequence[str]) -> NDArray[np.int64]:
        found = [each.counts(len(nouns)) for each in self.detect(frames, nouns)]
        return np.stack(found, axis=1)

    def detect(self, frames: NDArray[np.float32], nouns: Sequence[str]) -> Iterator[Detections]:
        """What is counted in each frame, one box for one thing.

        Args:
            frames: ``[F, Y, X, 3]`` in 0..1.
            nouns: What to look for, ``G`` noun phrases.

        Raises:
            EvaluationError: If the clip is broken, the network says what is not finite, or a noun
                cannot be asked for.
        """
        spec, images = self.spec, pictures(frames)
        if not nouns:
            raise EvaluationError("nouns must name something to count, got none")
        for start in range(0, len(images), self.batch):
            for found in self._answers(images[start : start + self.batch], nouns):
                yield found.suppressed(spec.same_noun_overlap, spec.any_noun_overlap)

    @cached_property
    def _network(self) -> Network:
        return load_network(self.spec.weights, self.place, "counter_model")

    def _answers(self, images: NDArray[np.uint8], nouns: Sequence[str]) -> Iterator[Detections]:
        spec = self.spec
        if spec.name == "grounding-dino":
            probs, boxes, words = grounding_dino.look(self._network, images, nouns)
        else:
            probs, boxes = owlv2.look(self._network, images, nouns)
        if not (np.isfinite(probs).all() and np.isfinite(boxes).all()):
            raise EvaluationError(
                f"the counter {spec.name} gave probabilities or boxes that are not finite; run it "
                f"in float32 (it ran in {self.place.dtype})"
            )
        for prob, box in zip(probs, boxes, strict=True):
            if spec.name == "grounding-dino":
                thresholds = (spec.box_threshold, spec.text_threshold)
                yield grounding_dino.grounded(prob, box, words, *thresholds)
            else:
                yield owlv2.best_fits(prob, box, spec.box_threshold)
