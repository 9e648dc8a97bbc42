"""The clips of one case under several methods, of which the plain one is made once."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from numina.evaluation.clip import Clip, Evaluated, Plain, Task
from numina.evaluation.failure import EvaluationError
from numina.evaluation.results import Row
from numina.evaluation.suites import Case, Suite


class CaseClips:
    """Generates one case, method by method.

    Args:
        pipe: The pipeline.
        suite: Whose case it is.
        case: The case.
        counted: The row of its plain clip, where that was counted before.
    """

    def __init__(self, pipe: Any, suite: Suite, case: Case, counted: Row | None = None) -> None:
        self._pipe, self._suite, self._case, self._counted = pipe, suite, case, counted
        self._plain: Clip | None = None

    def made(self, method: Evaluated) -> Clip:
        """The clip under a method.

        Raises:
            NuminaError: If it cannot be made.
            EvaluationError: If the plain clip that it needs is not the one counted before.
        """
        if isinstance(method, Plain):
            return self._plain_clip(method)
        plain = self._plain_clip(Plain()) if method.needs_plain else self._plain
        return method.generate(Task(self._pipe, self._suite, self._case, plain))

    def _plain_clip(self, method: Plain) -> Clip:
        if self._plain is None:
            clip = method.generate(Task(self._pipe, self._suite, self._case))
            if self._counted is not None:
                require_counts(self._suite.count(clip.frames, self._case), self._counted)
            self._plain = clip
        return self._plain


def require_counts(counts: NDArray[np.int64], row: Row) -> None:
    """Refuse a clip made again ``[G, F]`` that does not show what was counted the first time.

    Raises:
        EvaluationError: Naming the case.
    """
    if not np.array_equal(counts, row.observation().counts):
        raise EvaluationError(
            f"the {row.method} clip of seed {row.seed} differs from the one counted before; "
            "results of two machines do not mix, choose another --out"
        )
