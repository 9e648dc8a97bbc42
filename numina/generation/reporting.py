"""Tell the story of a video: what was asked for, seen, decided, and what it cost."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numina.generation.looking import Looker
from numina.generation.outcome import Outcome
from numina.generation.request import CountRequest
from numina.layout import Layout
from numina.memory import peak_bytes
from numina.prompt.counts import CountTarget, Policy, abstentions, unplaced
from numina.record import CountReport, Decision, TargetRecord
from numina.refine.quotas import Parts, frame_of, members, quotas_of


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
            TargetRecord(target.noun, target.phrase, target.count, target.spans, target.parts)
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
    decision, reason = _counted(row, looker, outcome, policy)
    asked = looker.request.rows[row]
    doubts = [
        f"{each.noun}: {each.reason}"
        for each in unplaced(asked.prompt, policy)
        if any(target.noun == each.noun and not target.places for target in asked.targets)
    ]
    return decision, "; counted anywhere: ".join([reason, *doubts])


def _counted(row: int, looker: Looker, outcome: Outcome, policy: Policy) -> tuple[Decision, str]:
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
    held = [edits[0].seen.count_per_frame(noun) for noun in range(len(targets))]
    wrong = [
        f"{_range(counts)} instead of {target.count} for {target.phrase!r}"
        for counts, target in zip(held, targets, strict=True)
        if (counts != target.count).any()
    ]
    wrong += _misplaced(seen, targets, asked.rows[row].places)
    # Right in every frame, but not the same instances throughout.
    return "guided", "the layout held " + " and ".join(wrong or ["instances that come and go"])


def _misplaced(seen: Layout, targets: Sequence[CountTarget], places: Sequence[Parts]) -> list[str]:
    """What the layout held in a place, where it was not what the place should hold."""
    if not places:
        return []
    quotas = quotas_of([target.count for target in targets], places, frame_of(seen))
    return [
        f"{len(labels)} instead of {quota.count} {quota.phrase} for {targets[quota.noun].phrase!r}"
        for quota, labels in zip(quotas, members(seen, quotas), strict=True)
        if quota.within is not None and len(labels) != quota.count
    ]


def _range(counts: NDArray[np.int64]) -> str:
    low, high = int(counts.min()), int(counts.max())
    return str(low) if low == high else f"{low} to {high}"
