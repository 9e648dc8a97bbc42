"""How far a counter itself can be trusted: its counts on rendered clips whose truth is known."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numina.evaluation.counters import Counter
from numina.evaluation.runner import evaluate
from numina.evaluation.suites import REPORTING_SEED, Case, sprites_case
from numina.evaluation.summary import PLAIN
from numina.sprites.world import prompt_for, render


@dataclass(frozen=True)
class CounterError:
    """Figures of a counter on clips with known truth.

    Attributes:
        clips: Number of clips.
        exact: Share of frames and nouns that it counted right.
        absolute: Mean distance from the truth.
        signed: Mean of count minus truth: above 0 it counts too many.
        by_count: ``exact`` by the true count.
    """

    clips: int
    exact: float
    absolute: float
    signed: float
    by_count: Mapping[int, float]


def counter_error(
    counter: Counter,
    clips: int,
    out: Path | str,
    seed: int = REPORTING_SEED,
    say: Callable[[str], None] = print,
) -> CounterError:
    """Run a counter over rendered clips of the sprites world, which show exactly what they say.

    Args:
        counter: Who counts.
        clips: How many clips.
        out: Folder of the results, as of any evaluation; a run that was stopped goes on.
        seed: Seed of the first clip.
        say: Takes a line of progress after every clip.
    """
    summary = evaluate({}, RenderedSprites(counter, seed), clips, out, say=say)
    figures = summary["methods"][PLAIN]
    return CounterError(
        clips,
        figures["count_acc"],
        figures["mean_absolute_error"],
        figures["mean_error"],
        {int(count): share for count, share in figures["by_count"].items()},
    )


@dataclass(frozen=True)
class RenderedSprites:
    """True clips in the place of generated ones, so that every error is the counter's.

    Attributes:
        counter: Who is judged.
        seed: Seed of the first clip; clip ``i`` has ``seed + i``.
    """

    counter: Counter
    seed: int = REPORTING_SEED

    @property
    def name(self) -> str:
        return "true-sprites"

    def describe(self) -> dict[str, Any]:
        return {"suite": self.name, "seed": self.seed, "counter": self.counter.describe()}

    def case(self, index: int) -> Case:
        return sprites_case(self.seed + index)

    def load(self) -> Any:
        self.counter.prepare()
        return _rendered

    def call(self, case: Case, attempt: int = 0) -> dict[str, Any]:
        return {"seed": case.seed}

    def count(self, frames: NDArray[np.float32], case: Case) -> NDArray[np.int64]:
        return self.counter.count(frames, case.nouns)


def _rendered(prompt: str, seed: int) -> Any:
    """Stands in for a pipeline: the true clip of a seed, whose caption is the prompt."""
    clip = render(prompt_for(seed), np.random.default_rng(seed))
    return SimpleNamespace(frames=clip[None].astype(np.float32) / 255)
