"""The verdict of an evaluation: one sentence on who gained how much, and what that rests on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from numina.evaluation.report.figures import interval, percent, points, signed
from numina.evaluation.report.standings import Standing, leader
from numina.evaluation.summary import PLAIN

Outcome = Literal["right", "wrong", "open"]
"""Better than plain, worse, or neither beyond chance."""


@dataclass(frozen=True)
class Verdict:
    """What a reader should know after ten seconds.

    Attributes:
        claim: Which method gained how much.
        within: The interval of that, in brackets.
        outcome: The claim as one word.
        detail: What the sentence is about, in figures.
    """

    claim: str
    within: str
    outcome: Outcome
    detail: str

    @property
    def sentence(self) -> str:
        """Claim and interval in one."""
        return f"{self.claim} {self.within}."


def judge(standing: Sequence[Standing], prompts: int, suite: str) -> Verdict:
    """Write the verdict.

    A gain whose interval holds zero is told as none: nothing is claimed that chance would explain.

    Args:
        standing: Figures of the methods, plain among them.
        prompts: Over how many prompts.
        suite: Name of the suite; of ``true-sprites`` the counter is judged.
    """
    plain = next(each for each in standing if each.name == PLAIN)
    first = leader(standing)
    over = f"over {prompts} prompt{'s' if prompts != 1 else ''}"
    if first is None or first.gain is None:
        share, within = percent(plain.accuracy.value), _within(interval(plain.accuracy))
        if suite == "true-sprites":
            detail = f"On clips with known truth, {over}, all that is wrong is the counter’s error."
            claim = f"The counter is right in {share} of frames and nouns"
        else:
            detail = f"Share of frames and nouns {over}; no method was compared with it."
            claim = f"Plain shows the count asked for in {share}"
        return Verdict(claim, within, "open", detail)
    gain, title = points(first.gain.value), f"“{first.role.title}”"
    within = _within(interval(first.gain, of_gain=True))
    detail = (
        f"{percent(first.accuracy.value)} of frames and nouns show the count asked for, instead of "
        f"{percent(plain.accuracy.value)}: {over}, for {first.forwards:.2f} × the forward passes."
    )
    if first.gain.low > 0:
        return Verdict(f"{title} gained {gain} over plain", within, "right", detail)
    if first.gain.high < 0:
        return Verdict(f"{title} lost {gain} against plain", within, "wrong", detail)
    claim = f"No gain over plain is certain: {title} is at {signed(first.gain.value)} points"
    return Verdict(claim, within, "open", detail)


def _within(bounds: str) -> str:
    return f"(95 % interval {bounds})"
