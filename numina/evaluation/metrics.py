"""Metrics of counting: accuracy, consistency over time, errors mended, and their intervals."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 10_000
_BOOTSTRAP_SEED = 20260408

Change = Literal["additions", "removals"]


@dataclass(frozen=True, eq=False)
class Observation:
    """What was asked for and what a clip shows.

    Attributes:
        targets: Count asked for of each noun, ``[G]``.
        counts: Instances of each noun in each frame, ``[G, F]``.
    """

    targets: NDArray[np.int64]
    counts: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.targets.ndim != 1 or not self.targets.size:
            raise ValueError(f"targets must be [G] with a noun at least, got {self.targets.shape}")
        if self.counts.ndim != 2 or len(self.counts) != len(self.targets):
            raise ValueError(
                f"counts must be [G, F] for {len(self.targets)} nouns, got {self.counts.shape}"
            )
        if self.counts.shape[1] < 2:
            raise ValueError(f"a clip needs two frames or more, got {self.counts.shape[1]}")
        if (self.counts < 0).any():
            raise ValueError("counts must not be negative")

    @property
    def exact(self) -> NDArray[np.float64]:
        """Share of the frames that show the right count, per noun, ``[G]``."""
        return (self.counts == self.targets[:, None]).mean(axis=1)

    @property
    def medians(self) -> NDArray[np.float64]:
        """Median count over the frames, per noun, ``[G]``."""
        return np.median(self.counts, axis=1)


def count_accuracy(seen: Observation) -> float:
    """CountAcc of one clip: 1 per frame and noun with the right count, averaged over both."""
    return float(seen.exact.mean())


def temporal_consistency(seen: Observation) -> float:
    """TC of one clip: share of neighbouring frames, over all nouns, whose counts are equal."""
    return float((np.diff(seen.counts, axis=1) == 0).mean())


def absolute_error(seen: Observation) -> float:
    """Mean distance of the count from the one asked for, over nouns and frames."""
    return float(np.abs(seen.counts - seen.targets[:, None]).mean())


def signed_error(seen: Observation) -> float:
    """Mean of the count less the one asked for: above 0 where there is too much."""
    return float((seen.counts - seen.targets[:, None]).mean())


def accuracy_by_count(clips: Sequence[Observation]) -> dict[int, float]:
    """Mean accuracy of the nouns by the count asked for; a count never asked for is absent."""
    shares: dict[int, list[float]] = {}
    for seen in clips:
        for target, exact in zip(seen.targets.tolist(), seen.exact.tolist(), strict=True):
            shares.setdefault(target, []).append(exact)
    return {target: float(np.mean(shares[target])) for target in sorted(shares)}


def reached(
    plain: Sequence[Observation],
    mended: Sequence[Observation],
    change: Change,
) -> float | None:
    """Share of the nouns miscounted by the plain run that a method puts right.

    Accuracy alone says little about finding things: an addition works at any free spot, a removal
    only where something is.

    Args:
        plain: The plain clips.
        mended: The clips of the same prompts under the method, in the same order.
        change: ``"additions"`` looks at nouns whose plain median count is too low, ``"removals"``
            at those where it is too high.

    Returns:
        Share of them whose median count under the method is the one asked for; None where the
        plain run has no such noun.
    """
    hits = np.concatenate(mended_nouns(plain, mended, change)) if plain else np.empty(0)
    return float(hits.mean()) if hits.size else None


def mended_nouns(
    plain: Sequence[Observation], mended: Sequence[Observation], change: Change
) -> list[NDArray[np.bool_]]:
    """For each clip and each noun of ``reached`` in it, whether the method put it right.

    Args:
        plain: The plain clips.
        mended: The clips of the same prompts under the method, in the same order.
        change: As for ``reached``.
    """
    hits = []
    for before, after in zip(plain, mended, strict=True):
        if not np.array_equal(before.targets, after.targets):
            raise ValueError("plain and mended clips must be of the same prompts")
        error = before.medians - before.targets
        wrong = error < 0 if change == "additions" else error > 0
        hits.append((after.medians == after.targets)[wrong])
    return hits


def bootstrap_interval(
    values: NDArray[np.float64], resamples: int = RESAMPLES
) -> tuple[float, float]:
    """The 95 % percentile interval of a mean over prompts; the same on every call.

    Args:
        values: One value per prompt, ``[P]``; for a paired interval, one difference per prompt.
        resamples: Draws with replacement.
    """
    if values.ndim != 1 or not values.size or not np.isfinite(values).all():
        raise ValueError(f"values must be finite, one per prompt, got {values!r}")
    rng = np.random.default_rng(_BOOTSTRAP_SEED)
    drawn = rng.integers(len(values), size=(resamples, len(values)))
    low, high = np.quantile(values[drawn].mean(axis=1), (0.025, 0.975))
    return float(low), float(high)
