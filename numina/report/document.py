"""The run as ``report.json``: plain values for programs, without pictures."""

import json
import math
from typing import Any

from numina.record import Cost, Look, TargetRecord
from numina.report.story import RunStory, Tally, TargetTally
from numina.report.verdict import judge

FORMAT = 1


def describe(story: RunStory) -> dict[str, Any]:
    """The story as plain JSON values.

    ``targets[i]["before"]`` and ``["after"]`` hold one count per frame, or None where nothing is
    known; ``counted_by`` says how they were found: "counter" (in the finished frames), "layout"
    (read from the attention of a look), or "plan" (asked for, not measured).
    """
    report, verdict = story.report, judge(story)
    return {
        "format": FORMAT,
        "prompt": report.prompt,
        "model": story.model,
        "seed": story.seed,
        "decision": report.decision,
        "reason": report.reason,
        "verdict": verdict.sentence,
        "outcome": verdict.outcome,
        "targets": [
            _target(target, tally)
            for target, tally in zip(report.targets, story.tallies, strict=True)
        ],
        "looks": [_look(look, report.targets) for look in report.looks],
        "strengths": [list(point) for point in report.strengths],
        "forwards": _pair(story.plain, report.total, "forwards"),
        "seconds": _pair(story.plain, report.total, "seconds"),
        "peak_bytes": _pair(story.plain, report.total, "peak_bytes"),
        "identify": {
            "forwards": report.identify.forwards,
            "seconds": report.identify.seconds,
        },
        "settings": dict(report.settings),
        "versions": dict(story.versions),
    }


def to_json(story: RunStory) -> str:
    """The story as JSON text; ASCII only, so that no prompt can break the file."""
    return json.dumps(_finite(describe(story)), indent=2, allow_nan=False) + "\n"


def _target(target: TargetRecord, tally: TargetTally) -> dict[str, Any]:
    return {
        "noun": target.noun,
        "phrase": target.phrase,
        "count": target.count,
        "spans": [list(span) for span in target.spans],
        **({"places": _places(target)} if target.places else {}),
        "before": _counts(tally.before),
        "after": _counts(tally.after),
        "counted_by": {
            "before": tally.before.source if tally.before else None,
            "after": tally.after.source if tally.after else None,
        },
    }


def _places(target: TargetRecord) -> dict[str, int]:
    return {place.phrase: count for place, count in target.places}


def _counts(tally: Tally | None) -> list[int] | None:
    return list(tally.counts) if tally else None


def _look(look: Look, targets: tuple[TargetRecord, ...]) -> dict[str, Any]:
    edit = look.edit
    return {
        "round": look.round,
        "step": look.step,
        "noise": look.noise,
        "heads": list(look.heads),
        "grid": list(edit.before.labels.shape),
        "nouns": [
            {
                "phrase": target.phrase,
                "seen": edit.before.count(noun),
                "added": sum(edit.after.nouns[label - 1] == noun for label in edit.added),
                "removed": sum(edit.before.nouns[label - 1] == noun for label in edit.removed),
                "held": len(edit.held(noun)),
                "brief": 0 if edit.brief is None else edit.brief.count(noun),
            }
            for noun, target in enumerate(targets)
        ],
    }


def _pair(plain: Cost | None, total: Cost, name: str) -> dict[str, float | None]:
    return {"before": getattr(plain, name) if plain else None, "after": getattr(total, name)}


def _finite(value: Any) -> Any:
    """JSON knows neither NaN nor infinity; both become null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return value
