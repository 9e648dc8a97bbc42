"""Clips of an evaluation made again, for nobody keeps the videos of hundreds of prompts."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from numina.evaluation.case_clips import CaseClips, require_counts
from numina.evaluation.clip import Evaluated, Plain
from numina.evaluation.failure import EvaluationError
from numina.evaluation.results import Row
from numina.evaluation.suites import Suite
from numina.evaluation.summary import PLAIN
from numina.evaluation.workers import one_thread


@dataclass(frozen=True, eq=False)
class Replayed:
    """A clip made again.

    Attributes:
        row: Its result, which the clip was found to show.
        frames: ``[F, Y, X, 3]`` in 0..1.
    """

    row: Row
    frames: NDArray[np.float32]


def replay(
    rows: Sequence[Row], methods: Mapping[str, Evaluated], suite: Suite, cases: int
) -> Iterator[Replayed]:
    """Make the clips of results again, one by one; nothing is loaded where there are none.

    Args:
        rows: The results, those of a case one after the other.
        methods: By name, those of the rows at least; plain need not be named.
        suite: The suite of the results.
        cases: Among how many of its first cases they are.

    Raises:
        EvaluationError: If a row is of no such case or method, or its clip shows other counts.
    """
    if not rows:
        return
    methods = {PLAIN: Plain(), **methods}
    indices = {suite.case(index).seed: index for index in range(cases)}
    for row in rows:
        if row.seed not in indices or row.method not in methods:
            raise EvaluationError(
                f"there is no seed {row.seed} under {row.method} in this evaluation to make again"
            )
    with one_thread():
        pipe = suite.load()
        seed, clips = None, None
        for row in rows:
            case = suite.case(indices[row.seed])
            if clips is None or row.seed != seed:
                seed, clips = row.seed, CaseClips(pipe, suite, case)
            frames = clips.made(methods[row.method]).frames
            require_counts(suite.count(frames, case), row)
            yield Replayed(row, frames)
