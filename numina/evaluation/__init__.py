"""Evaluation: methods on suites of prompts, counted exactly, with intervals and controls.

The methods to compare are in `numina.evaluation.methods`, which needs diffusers; all else does not.
"""

from numina.evaluation.clip import Clip, Evaluated, Plain, Task
from numina.evaluation.failure import EvaluationError
from numina.evaluation.runner import evaluate
from numina.evaluation.suites import Case, SpritesSuite, Suite
from numina.evaluation.summary import summarise

__all__ = [
    "Case",
    "Clip",
    "Evaluated",
    "EvaluationError",
    "Plain",
    "SpritesSuite",
    "Suite",
    "Task",
    "evaluate",
    "summarise",
]
