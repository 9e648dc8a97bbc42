"""The tables of identification against the noise level, of clips that were read on their way."""

from collections.abc import Sequence
from itertools import pairwise
from statistics import mean
from typing import Any

from benchmarks.markdown import line, rule
from numina.evaluation.identification import ReadClip, Reading
from numina.evaluation.noise_levels import agreeing, is_judged_right

# At which noise level counts and confusions are told: the first that is as low or lower.
VERDICT = 0.67
TITLES = {
    "robust": "robust, within one pass",
    "robust-verdict": "robust, verdict of restart mode",
    "robust-attention": "attention alone",
    "paper": "paper, published settings",
    "paper-scaled": "paper, settings scaled to the grid",
}
# Counts from here on share a column.
MOST = 9


def noise_levels_table(summary: dict[str, Any]) -> list[str]:
    """By noise level: share of the nouns counted as in the finished clip, and F1 of instances."""
    readers = summary["readers"]
    lines = [
        line(("noise level", *(f"{_title(name)}: count, F1 (95 %)" for name in readers))),
        rule(len(readers) + 1),
    ]
    for looks in zip(*readers.values(), strict=True):
        cells = (
            f"{look['count_acc']:.3f} ({_interval(look['count_ci95'])}), "
            f"{look['f1']:.3f} ({_interval(look['f1_ci95'])})"
            for look in looks
        )
        lines.append(line((f"{looks[0]['noise']:.2f}", *cells)))
    return lines


def counts_table(clips: Sequence[ReadClip]) -> list[str]:
    """By what the finished clip holds of a noun: share counted so at the verdict's noise level."""
    table: dict[str, dict[int, list[bool]]] = {}
    for clip, reading in _at_verdict(clips):
        column = table.setdefault(reading.evidence, {})
        for held, agrees in zip(clip.held, agreeing(clip, reading), strict=True):
            column.setdefault(_column(held), []).append(agrees)
    counts = sorted({count for shares in table.values() for count in shares})
    number = {count: len(next(iter(table.values()))[count]) for count in counts}
    lines = [
        line(("", *(f"{_named(count)} ({number[count]})" for count in counts))),
        rule(len(counts) + 1),
    ]
    for name, shares in table.items():
        cells = (f"{sum(shares[count]) / len(shares[count]):.3f}" for count in counts)
        lines.append(line((_title(name), *cells)))
    return lines


def confusion_table(clips: Sequence[ReadClip], evidence: str = "robust-verdict") -> list[str]:
    """How often so many were seen (columns) where the finished clip holds so many (rows)."""
    pairs: dict[tuple[int, int | None], int] = {}
    for clip, reading in _at_verdict(clips):
        if reading.evidence != evidence:
            continue
        seen = reading.seen or (None,) * len(clip.nouns)
        for one, held in zip(seen, clip.held, strict=True):
            pair = (_column(held), None if one is None else _column(one))
            pairs[pair] = pairs.get(pair, 0) + 1
    columns: list[int | None] = list(range(MOST + 1))
    columns += [None] if any(seen is None for _, seen in pairs) else []
    lines = [
        line((f"{_title(evidence)}: held \\ seen", *map(_named, columns))),
        rule(len(columns) + 1),
    ]
    for held in sorted({held for held, _ in pairs}):
        cells = (str(pairs.get((held, seen), "")) for seen in columns)
        lines.append(line((_named(held), *cells)))
    return lines


def agreement_table(clips: Sequence[ReadClip], evidence: str = "robust-verdict") -> list[str]:
    """A verdict at a given level, and one as soon as two looks in a row count the same from there.

    The second takes its verdict from the later of both looks, and from the last one where no two
    agree. A verdict is right if it calls the finished clip right or wrong as it is.
    """
    runs = [
        sorted((each for each in clip.readings if each.evidence == evidence), key=_step)
        for clip in clips
    ]
    lines = [
        line(
            (
                f"{_title(evidence)}: noise level",
                "there: step, nouns counted, verdicts right",
                "once two looks from there on agree: the same",
            )
        ),
        rule(3),
    ]
    for first, look in enumerate(runs[0][:-1]):
        fixed = [readings[first] for readings in runs]
        agreed = [settled(readings[first:]) for readings in runs]
        cells = (_verdicts(clips, fixed), _verdicts(clips, agreed))
        lines.append(line((f"{look.noise:.2f}", *cells)))
    return lines


def settled(readings: Sequence[Reading]) -> Reading:
    """The first reading that counts what the one before it did, else the last."""
    return next(
        (later for earlier, later in pairwise(readings) if earlier.seen == later.seen),
        readings[-1],
    )


def _verdicts(clips: Sequence[ReadClip], readings: Sequence[Reading]) -> str:
    """Mean step, share of the nouns counted as in the finished clip, share of right verdicts."""
    read = list(zip(clips, readings, strict=True))
    step = mean(reading.step for reading in readings)
    counted = mean(mean(agreeing(clip, reading)) for clip, reading in read)
    return f"{step:.2f}, {counted:.3f}, {mean(is_judged_right(*each) for each in read):.3f}"


def _step(reading: Reading) -> int:
    return reading.step


def _at_verdict(clips: Sequence[ReadClip]) -> list[tuple[ReadClip, Reading]]:
    found = []
    for clip in clips:
        low = [reading for reading in clip.readings if reading.noise <= VERDICT]
        first = min(reading.step for reading in low)
        found += [(clip, reading) for reading in low if reading.step == first]
    return found


def _column(count: float) -> int:
    """Where a count stands; one that is not whole, a median of two frames, stands with the next."""
    return min(MOST, int(count + 0.5))


def _named(count: int | None) -> str:
    if count is None:
        return "no layout"
    return f"{count} and more" if count == MOST else str(count)


def _title(name: str) -> str:
    return TITLES.get(name, name)


def _interval(bounds: Sequence[float]) -> str:
    return f"{bounds[0]:.3f} to {bounds[1]:.3f}"
