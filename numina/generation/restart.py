"""Restart: identify in a first run, stop it if the count is wrong, guide a second one."""

from numina.attention.text import Text
from numina.generation.looking import Looker, Verdict
from numina.generation.outcome import Outcome
from numina.generation.run import PipelineRun
from numina.generation.trial import try_run
from numina.record import Cost
from numina.refine.composition import composed


def restart(run: PipelineRun, looker: Looker, text: Text, rounds: int) -> Outcome:
    """Generate, and generate again from the same noise as long as the verdict is "wrong".

    Args:
        run: The pipeline call.
        looker: Looks at it.
        text: Nouns of the text keys.
        rounds: Guided runs that may follow the first one, at least 1.
    """
    first = try_run(run, looker, text, _is_right)
    if first.verdict is None or not first.stopped:
        return Outcome(first.output, False, (), first.cost, first.cost)
    return guided_rounds(run, looker, text, first.verdict, rounds, first.cost)


def guided_rounds(
    run: PipelineRun, looker: Looker, text: Text, wrong: Verdict, rounds: int, spent: Cost
) -> Outcome:
    """Enforce what a wrong verdict asks for, from the noise it was made from.

    Args:
        run: The pipeline call.
        looker: Looks at it.
        text: Nouns of the text keys.
        wrong: The verdict.
        rounds: Guided runs, at least 1; the last one is never stopped.
        spent: What it has cost to come here.
    """
    total, edits = spent, wrong.edits
    for round_ in range(1, rounds + 1):
        will_do = _anything if round_ == rounds else _is_right
        made = try_run(run, looker, text, will_do, edits, round_)
        total += made.cost
        if made.verdict is None or not made.stopped:
            return Outcome(made.output, True, made.strengths, spent, total)
        edits = tuple(map(composed, edits, made.verdict.edits))
    raise AssertionError("the last round never stops")


def _is_right(verdict: Verdict) -> bool:
    return verdict.is_right


def _anything(_: Verdict) -> bool:
    return True
