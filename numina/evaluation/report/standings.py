"""Where each method stands: its figures with their intervals, typed and ready to be shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from numina.evaluation.metrics import Change, mended_nouns
from numina.evaluation.report.findings import Findings
from numina.evaluation.roles import Kind, Role, role_of
from numina.evaluation.summary import CONTROLS, PLAIN


@dataclass(frozen=True)
class Estimate:
    """A mean over prompts and its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Share:
    """``hits`` of ``number``."""

    hits: int
    number: int

    @property
    def value(self) -> float:
        """Between 0 and 1."""
        return self.hits / self.number


@dataclass(frozen=True)
class Contest:
    """How many more of the removals a method reaches than the control with wrong places."""

    control: str
    gain: Estimate
    prompts: int


@dataclass(frozen=True)
class Standing:
    """One method's figures.

    Attributes:
        name: Its name in the results.
        role: What it is for, and its title.
        accuracy: CountAcc.
        gain: Its accuracy less that of plain, paired by prompt; None of plain itself.
        error: Mean distance of the counts from those asked for, in instances.
        consistency: Share of neighbouring frames with equal counts.
        forwards: Transformer forwards relative to plain.
        additions: Nouns that plain drew too few of and this method right; None without any.
        removals: The same of those that it drew too many of.
        contest: Its removals against those of its control, where both were run.
        by_count: Accuracy by the count asked for.
        clip_score: None where it was not measured.
    """

    name: str
    role: Role
    accuracy: Estimate
    gain: Estimate | None
    error: float
    consistency: float
    forwards: float
    additions: Share | None
    removals: Share | None
    contest: Contest | None
    by_count: Mapping[int, float]
    clip_score: float | None = None


def standings(findings: Findings) -> tuple[Standing, ...]:
    """The figures of all methods: plain, ours, rivals and controls, the best of each kind first."""
    kinds = list(Kind)
    found = [_standing(name, findings) for name in findings.methods]
    return tuple(
        sorted(found, key=lambda each: (kinds.index(each.role.kind), -each.accuracy.value))
    )


def leader(standing: Sequence[Standing]) -> Standing | None:
    """The method of ours that gained most; without ours, the best rival; None without either.

    Of equals the cheaper one leads. Controls never do: they know what no method may know.
    """
    for kind in (Kind.OURS, Kind.RIVAL):
        candidates = [each for each in standing if each.role.kind is kind]
        if candidates:
            return max(candidates, key=lambda each: (each.accuracy.value, -each.forwards))
    return None


def _standing(name: str, findings: Findings) -> Standing:
    figures = findings.summary["methods"][name]
    paired = findings.summary["paired"].get(f"{name}-{PLAIN}")
    return Standing(
        name=name,
        role=role_of(name),
        accuracy=Estimate(figures["count_acc"], *figures["ci95"]),
        gain=Estimate(paired["gain"], *paired["ci95"]) if paired else None,
        error=figures["mean_absolute_error"],
        consistency=figures["temporal_consistency"],
        forwards=figures["forwards"],
        additions=_reached(name, findings, "additions"),
        removals=_reached(name, findings, "removals"),
        contest=_contest(name, findings.summary["removals"]),
        by_count={int(count): share for count, share in figures["by_count"].items()},
        clip_score=figures.get("clip_score"),
    )


def _reached(name: str, findings: Findings, change: Change) -> Share | None:
    plain, mended = (
        [row.observation() for row in findings.rows[method]] for method in (PLAIN, name)
    )
    hits = np.concatenate(mended_nouns(plain, mended, change))
    return Share(int(hits.sum()), hits.size) if hits.size else None


def _contest(name: str, removals: Mapping[str, Any]) -> Contest | None:
    for one, control in CONTROLS:
        found = removals.get(f"{one}-{control}") if one == name else None
        if found:
            gain = Estimate(found["gain"], *found["ci95"])
            return Contest(control, gain, found["n"])
    return None
