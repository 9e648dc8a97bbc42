"""Seed search: look at one noise after the other, and finish the first that counts right."""

from collections.abc import Sequence
from dataclasses import dataclass

from numina.attention.text import Text
from numina.generation.looking import Looker, Verdict
from numina.generation.outcome import Outcome
from numina.generation.plain import NOTHING, plain_run
from numina.generation.request import CountRequest
from numina.generation.restart import guided_rounds
from numina.generation.run import PipelineRun
from numina.generation.seeding import seeded
from numina.generation.trial import Trial, try_run
from numina.methods.method import Method
from numina.record import Cost


@dataclass(frozen=True)
class TriedSeed:
    """One noise that was looked at.

    Attributes:
        seed: Of its generator.
        error: By how many instances its layout was off in a frame, on average, summed over the
            nouns; None where no usable layout was seen.
        cost: Of the look, or of the whole run where the layout was right.
    """

    seed: int
    error: float | None
    cost: Cost


@dataclass(frozen=True, eq=False)
class Search:
    """What a search hands back.

    Attributes:
        seed: Whose video it is.
        tried: In the order of the looks.
        looker: What was seen of that seed.
        outcome: The video, with the cost of all seeds.
    """

    seed: int
    tried: tuple[TriedSeed, ...]
    looker: Looker
    outcome: Outcome


@dataclass(frozen=True, eq=False)
class _Looked:
    seed: int
    run: PipelineRun
    looker: Looker
    trial: Trial

    @property
    def error(self) -> float | None:
        verdict = self.trial.verdict
        return None if verdict is None or self.looker.unusable else sum(verdict.errors)

    @property
    def rank(self) -> tuple[bool, float]:
        """Lower is better; what could not be judged comes last."""
        return self.error is None, self.error or 0.0


def search_seeds(
    run: PipelineRun,
    request: CountRequest,
    method: Method,
    text: Text,
    seeds: Sequence[int],
    rounds: int,
) -> Search:
    """Finish the first seed whose layout is right, else guide the one that is off by the least.

    A seed is left at the look, so that it costs the share of a run that lies before it: for the
    robust preset about 0.6 where the noise levels have a shift of 3.

    Args:
        run: The pipeline call; its own noise is not used.
        request: What is asked for, of one video.
        method: Who looks and guides.
        text: Nouns of the text keys.
        seeds: What to try, at least one.
        rounds: Guided runs that may follow where no seed is right; 0 makes the best one plainly.
    """
    looked: list[_Looked] = []
    spent = NOTHING
    for seed in seeds:
        looked.append(_look(run.from_noise(seeded(seed)), Looker(method, request), text, seed))
        spent += looked[-1].trial.cost
        if not looked[-1].trial.stopped:
            break
    last, best = looked[-1], min(looked, key=lambda each: each.rank)
    if not last.trial.stopped:
        best = last
        outcome = Outcome(last.trial.output, False, (), last.trial.cost, spent)
    elif best.error is None or best.trial.verdict is None:
        outcome = plain_run(best.run, spent, "no seed showed a usable layout")
    elif rounds == 0:
        outcome = plain_run(best.run, spent, "no seed was right, and none was to be guided")
    else:
        outcome = guided_rounds(best.run, best.looker, text, best.trial.verdict, rounds, spent)
    tried = tuple(TriedSeed(each.seed, each.error, each.trial.cost) for each in looked)
    return Search(best.seed, tried, best.looker, outcome)


def _look(run: PipelineRun, looker: Looker, text: Text, seed: int) -> _Looked:
    def is_right(verdict: Verdict) -> bool:
        return verdict.is_right and not looker.unusable

    return _Looked(seed, run, looker, try_run(run, looker, text, is_right))
