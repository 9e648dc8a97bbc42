"""The summary of an evaluation: every method's figures, and paired gains with their intervals."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numina.evaluation.failure import EvaluationError
from numina.evaluation.metrics import (
    Observation,
    absolute_error,
    accuracy_by_count,
    bootstrap_interval,
    count_accuracy,
    mended_nouns,
    reached,
    signed_error,
    temporal_consistency,
)
from numina.evaluation.results import Row
from numina.evaluation.roles import varied_from

PLAIN = "plain"
# Beside the gain over the plain run: who is compared with whom, where both were run.
CHALLENGERS = ("robust", "robust-2", "one-pass", "oracle")
RIVALS = (
    "paper",
    "paper-scaled",
    "misplaced",
    "misplaced-one-pass",
    "seed-search-5",
    "layout-search-5",
)
# Whose removals are compared with those of the control that guides from the same step on.
CONTROLS = (
    ("robust", "misplaced"),
    ("robust-attention", "misplaced"),
    ("oracle", "misplaced"),
    ("one-pass", "misplaced-one-pass"),
    ("one-pass-attention", "misplaced-one-pass"),
    ("oracle-one-pass", "misplaced-one-pass"),
)


def summarise(rows: Iterable[Row], methods: Sequence[str], seeds: Sequence[int]) -> dict[str, Any]:
    """Figures of every method over the same prompts.

    Args:
        rows: Results; those of other methods and seeds are left aside.
        methods: The methods to report, ``"plain"`` among them.
        seeds: The cases to report.

    Returns:
        ``{"methods": {name: figures}, "paired": {"a-b": gain}, "removals": {"a-b": gain}}``, the
        last over the prompts of which the plain run shows too many of something.

    Raises:
        EvaluationError: If a single result is missing: an average over what happens to be there
            is not reported.
    """
    found = {(row.seed, row.method): row for row in rows}
    wanted = [(seed, method) for method in methods for seed in seeds]
    missing = [
        f"seed {seed} under {method}" for seed, method in wanted if (seed, method) not in found
    ]
    if PLAIN not in methods or not seeds:
        raise EvaluationError("a summary needs a prompt at least, and the plain run of each")
    if missing:
        raise EvaluationError(
            f"{len(missing)} of {len(wanted)} results are missing, e.g. {', '.join(missing[:5])}; "
            "run the evaluation again to make them"
        )
    table = {method: [found[seed, method] for seed in seeds] for method in methods}
    clips = {method: [row.observation() for row in table[method]] for method in methods}
    accuracy = {
        method: np.array([count_accuracy(seen) for seen in clips[method]]) for method in methods
    }
    # A rendered clip costs none.
    plain_forwards = _mean(row.forwards for row in table[PLAIN]) or 1.0
    return {
        "methods": {
            method: {
                **_figures(clips[method], clips[PLAIN], accuracy[method]),
                "forwards": _mean(row.forwards for row in table[method]) / plain_forwards,
                "forwards_per_prompt": _mean(row.forwards for row in table[method]),
                "seconds_per_prompt": _mean(row.seconds for row in table[method]),
                "decisions": _tally(row.decision for row in table[method]),
                "identified": _identified(table[method], clips[PLAIN]),
                **_clip_score(table[method]),
            }
            for method in methods
        },
        "paired": _paired(accuracy),
        "removals": _removals(clips),
    }


def _figures(
    clips: Sequence[Observation], plain: Sequence[Observation], accuracy: NDArray[np.float64]
) -> dict[str, Any]:
    return {
        "count_acc": float(accuracy.mean()),
        "temporal_consistency": _mean(temporal_consistency(seen) for seen in clips),
        "ci95": list(bootstrap_interval(accuracy)),
        "n": len(clips),
        "mean_absolute_error": _mean(absolute_error(seen) for seen in clips),
        "mean_error": _mean(signed_error(seen) for seen in clips),
        "by_count": {str(target): share for target, share in accuracy_by_count(clips).items()},
        "removals_reached": reached(plain, clips, "removals"),
        "additions_reached": reached(plain, clips, "additions"),
    }


def _paired(accuracy: Mapping[str, NDArray[np.float64]]) -> dict[str, Any]:
    pairs = [(method, PLAIN) for method in accuracy if method != PLAIN]
    pairs += [
        (better, rival)
        for better in CHALLENGERS
        for rival in RIVALS
        if better in accuracy and rival in accuracy
    ]
    pairs += [
        (method, preset)
        for method in accuracy
        if (preset := varied_from(method)) is not None and preset in accuracy
    ]
    return {
        f"{one}-{other}": {
            "gain": float((accuracy[one] - accuracy[other]).mean()),
            "ci95": list(bootstrap_interval(accuracy[one] - accuracy[other])),
        }
        for one, other in pairs
    }


def _removals(clips: Mapping[str, Sequence[Observation]]) -> dict[str, Any]:
    """How many more of the nouns drawn too often come out right than under the control."""
    gains = {}
    for one, other in CONTROLS:
        if one not in clips or other not in clips:
            continue
        ours = mended_nouns(clips[PLAIN], clips[one], "removals")
        theirs = mended_nouns(clips[PLAIN], clips[other], "removals")
        gained = [a.mean() - b.mean() for a, b in zip(ours, theirs, strict=True) if a.size]
        if gained:
            values = np.array(gained)
            gains[f"{one}-{other}"] = {
                "gain": float(values.mean()),
                "ci95": list(bootstrap_interval(values)),
                "n": len(values),
            }
    return gains


def _identified(rows: Sequence[Row], plain: Sequence[Observation]) -> float | None:
    """Share of the nouns whose number at the first look is the plain clip's median count."""
    hits = [
        (np.array(row.seen[0]) == clip.medians).mean()
        for row, clip in zip(rows, plain, strict=True)
        if row.seen
    ]
    return float(np.mean(hits)) if hits else None


def _clip_score(rows: Sequence[Row]) -> dict[str, float]:
    """Mean CLIP score, where it was asked for."""
    scores = [row.clip_score for row in rows if row.clip_score is not None]
    if 0 < len(scores) < len(rows):
        raise EvaluationError(
            f"{len(rows) - len(scores)} of {len(rows)} results have no CLIP score; "
            "choose another --out"
        )
    return {"clip_score": _mean(scores)} if scores else {}


def _tally(decisions: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for decision in decisions:
        counts[decision] = counts.get(decision, 0) + 1
    return counts


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))
