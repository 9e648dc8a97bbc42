"""The instructive cases as the page shows them: counts, pictures where they were kept, commands."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from numina.evaluation.report.findings import Findings
from numina.evaluation.report.lessons import Instance, Lesson, chosen, instances
from numina.evaluation.report.strips import strip_picture
from numina.evaluation.results import Row
from numina.evaluation.retrace import case_command
from numina.evaluation.roles import role_of
from numina.report.cells import Cell, count_cells
from numina.report.story import Tally

# Without an order for strips.
SHOWN = 6

_HEADINGS = {
    Lesson.MENDED: "Plain was wrong, {title} is right",
    Lesson.BROKEN: "Plain was right, {title} is wrong",
    Lesson.MISSED: "{title} is wrong where the true layout succeeds",
}


@dataclass(frozen=True)
class NounRow:
    """One noun's counts over the frames of a clip."""

    noun: int
    phrase: str
    asked: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class ShownClip:
    """A clip of a case; without a picture where no strip was kept."""

    title: str
    picture: str | None
    nouns: tuple[NounRow, ...]


@dataclass(frozen=True)
class ShownCase:
    """A case: its prompt, its clips, and the command that makes them again, if there is one."""

    seed: int
    prompt: str
    clips: tuple[ShownClip, ...]
    command: str | None


@dataclass(frozen=True)
class ShownLesson:
    """Cases of one lesson."""

    heading: str
    number: int
    of: int
    cases: tuple[ShownCase, ...]


def shown_lessons(
    findings: Findings, method: str, folder: Path | None = None
) -> tuple[ShownLesson, ...]:
    """The lessons of a method: the cases of which strips were kept, else the best few in words.

    Args:
        findings: The evaluation.
        method: Whose lessons.
        folder: The results folder, where strips may be; None for none.
    """
    found = instances(findings.rows, method)
    shown = [
        _case(case, pictures, findings)
        for cases in found.values()
        for case, pictures in ((case, _pictures(case, folder)) for case in cases)
        if all(pictures)
    ]
    if not shown:
        shown = [_case(case, [None] * 3, findings) for case in chosen(found, SHOWN)]
    title = f"“{role_of(method).title}”"
    return tuple(
        ShownLesson(
            _HEADINGS[lesson].format(title=title),
            len(cases),
            len(findings.seeds),
            tuple(case for case in shown if case.seed in {each.seed for each in cases}),
        )
        for lesson, cases in found.items()
    )


def _pictures(case: Instance, folder: Path | None) -> list[str | None]:
    return [strip_picture(folder, row) if folder else None for row in case.rows]


def _case(case: Instance, pictures: Sequence[str | None], findings: Findings) -> ShownCase:
    return ShownCase(
        case.seed,
        case.rows[0].prompt,
        tuple(_clip(row, picture) for row, picture in zip(case.rows, pictures, strict=False)),
        case_command(findings.manifest, case.rows),
    )


def _clip(row: Row, picture: str | None) -> ShownClip:
    return ShownClip(
        role_of(row.method).title,
        picture,
        tuple(
            NounRow(noun, phrase, asked, count_cells(Tally(counts, "counter"), asked))
            for noun, (phrase, counts, asked) in enumerate(
                zip(row.nouns, row.counts, row.targets, strict=True)
            )
        ),
    )
