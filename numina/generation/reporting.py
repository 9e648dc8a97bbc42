"""Tell the story of a video: what was asked for, seen, decided, and what it cost."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numina.generation.looking import Looker
from numina.generation.outcome import Outcome
from numina.generation.request import CountRequest
from numina.memory import peak_bytes
from numina.prompt.counts import Policy, abstentions
from numina.record import CountReport, Decision, TargetRecord


def report_of(
    row: int, looker: Looker, outcome: Outcome, policy: Policy, settings: dict[str, Any]
) -> CountReport:
    """The report of one video.

    Args:
        row: Which video of the batch.
        looker: What was asked for, and seen.
        outcome: What came of it.
        policy: How the prompt was read.
        settings: For the record, as plain JSON values.
    """
    asked = looker.request.rows[row]
    decision, reason = _decision(row, looker, outcome, policy)
    return CountReport(
        prompt=asked.prompt,
        targets=tuple(
            TargetRecord(target.noun, target.phrase, target.count, target.spans)
            for target in asked.targets
        ),
        decision=decision,
        reason=reason,
        looks=tuple(looker.looks[row]),
        strengths=outcome.strengths if decision == "guided" else (),
        identify=outcome.identify,
        total=replace(outcome.total, peak_bytes=peak_bytes()),
        settings=settings,
    )


def _decision(row: int, looker: Looker, outcome: Outcome, policy: Policy) -> tuple[Decision, str]:
    asked: CountRequest = looker.request
    prompt, targets = asked.rows[row].prompt, asked.rows[row].targets
    if not targets:
        doubts = "; ".join(f"{each.noun}: {each.reason}" for each in abstentions(prompt, policy))
        return "continued", "the prompt names no count" + (f" ({doubts})" if doubts else "")
    if outcome.forgone:
        return "unguided", outcome.forgone
    edits = [look.edit for look in looker.looks[row] if not look.edit.is_empty]
    if not edits:
        if row in looker.unusable:
            return "unguided", looker.unusable[row]
        if not looker.looks[row]:
            return "unguided", "the run was interrupted before its first look"
        return "continued", "the layout already held every count asked for"
    if not outcome.guided:
        return "unguided", "the count was found wrong, but too late to guide"
    seen = edits[0].before
    held = [seen.count_per_frame(noun) for noun in range(len(targets))]
    wrong = [
        f"{_range(counts)} instead of {target.count} for {target.phrase!r}"
        for counts, target in zip(held, targets, strict=True)
        if (counts != target.count).any()
    ]
    # Right in every frame, but not the same instances throughout.
    return "guided", "the layout held " + " and ".join(wrong or ["instances that come and go"])


def _range(counts: NDArray[np.int64]) -> str:
    low, high = int(counts.min()), int(counts.max())
    return str(low) if low == high else f"{low} to {high}"
