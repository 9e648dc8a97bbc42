"""Evaluation: methods on suites of prompts, counted by a counter, with intervals and controls.

The methods to compare are in `numina.evaluation.methods`, which needs diffusers; all else does not.
"""

from numina.evaluation.clip import Clip, Evaluated, Plain, Task
from numina.evaluation.clip_score import ClipScore, Scorer
from numina.evaluation.countbench import CountBenchSuite, PipelineSource
from numina.evaluation.counters import Counter, SpritesCounter
from numina.evaluation.detectors import DetectorCounter, DetectorSpec
from numina.evaluation.failure import EvaluationError
from numina.evaluation.rendered_sprites import RenderedSprites, counter_error
from numina.evaluation.runner import evaluate
from numina.evaluation.suites import Case, MaskedSuite, SpritesSuite, Suite
from numina.evaluation.summary import summarise

__all__ = [
    "Case",
    "Clip",
    "ClipScore",
    "CountBenchSuite",
    "Counter",
    "DetectorCounter",
    "DetectorSpec",
    "Evaluated",
    "EvaluationError",
    "MaskedSuite",
    "PipelineSource",
    "Plain",
    "RenderedSprites",
    "Scorer",
    "SpritesCounter",
    "SpritesSuite",
    "Suite",
    "Task",
    "counter_error",
    "evaluate",
    "summarise",
]
