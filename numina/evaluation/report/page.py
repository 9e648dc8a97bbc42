"""An evaluation as one self-contained page of HTML: no script, nothing fetched."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from numina.evaluation.report import figures
from numina.evaluation.report.accuracy_chart import AccuracyChart, accuracy_chart
from numina.evaluation.report.cases import SHOWN, ShownLesson, shown_lessons
from numina.evaluation.report.cost_chart import CostChart, cost_chart
from numina.evaluation.report.findings import Findings, read_findings
from numina.evaluation.report.highlights import highlights
from numina.evaluation.report.provenance import facts, settings
from numina.evaluation.report.standings import Standing, leader, standings
from numina.evaluation.report.verdict import Verdict, judge
from numina.evaluation.retrace import evaluation_command
from numina.evaluation.summary import PLAIN
from numina.output import claim_folder
from numina.report.template import rendered

PAGE = "report.html"

# Each plot is drawn twice, for a desk and for a telephone: text that shrinks with its plot cannot
# be read.
_SIZES = {"wide": (860, 420), "narrow": (366, 400)}


@dataclass(frozen=True)
class Page:
    """All that the template shows, ready to be printed.

    Attributes:
        verdict: The sentence at the top.
        facts: Where the figures come from.
        command: What leads to them again, where there is such a command.
        standing: The methods, in the order of the table.
        styles: Style class of each method.
        accuracy: Plots of accuracy by the count asked for, for each width of the page.
        costs: Plots of cost against accuracy, the same; empty where one method stands alone.
        nouns: Over how many nouns accuracy is, in words.
        operations: Methods that had something to add or to remove.
        scored: Whether CLIP scores were measured.
        lessons: Instructive cases.
        strips_command: What draws pictures of the cases; None where all have one or none can.
        settings: All that the results depend on.
    """

    verdict: Verdict
    facts: tuple[tuple[str, str], ...]
    command: str | None
    standing: tuple[Standing, ...]
    styles: dict[str, str]
    accuracy: dict[str, AccuracyChart]
    costs: dict[str, CostChart]
    nouns: str
    operations: tuple[Standing, ...]
    scored: bool
    lessons: tuple[ShownLesson, ...]
    strips_command: str | None
    settings: tuple[tuple[str, str], ...]


def write_page(folder: Path, out: Path | None = None) -> Path:
    """Write ``report.html`` of a results folder; no other file is touched.

    Args:
        folder: Of a finished evaluation.
        out: Where the page goes; beside the results where it is None.

    Raises:
        OutputError: If there is no finished evaluation, or the page cannot be written.
        FormatError: If a file is damaged.
        EvaluationError: If a result is missing.
    """
    page = render_page(read_findings(folder), folder)
    return claim_folder(out or folder, {PAGE}, force=True).write(
        PAGE, page.encode("utf-8", "replace")
    )


def render_page(findings: Findings, folder: Path | None = None) -> str:
    """The page of an evaluation as HTML; ``folder`` is where strips may be."""
    page = build_page(findings, folder)
    return rendered("evaluation.html.jinja", page=page, figures=figures)


def build_page(findings: Findings, folder: Path | None = None) -> Page:
    """Everything that the page says, before it is laid out."""
    standing = standings(findings)
    styles = dict(highlights(standing))
    prompts, manifest = len(findings.seeds), findings.manifest
    nouns = Counter(target for row in findings.rows[PLAIN] for target in row.targets)
    first = leader(standing)
    lessons = shown_lessons(findings, first.name, folder) if first else ()
    return Page(
        verdict=judge(standing, prompts, str(manifest.get("suite"))),
        facts=facts(findings),
        command=evaluation_command(manifest, findings.methods, prompts),
        standing=standing,
        styles=styles,
        accuracy={
            name: accuracy_chart(standing, sorted(nouns), styles, *size)
            for name, size in _SIZES.items()
        },
        costs={name: cost_chart(standing, styles, *size) for name, size in _SIZES.items()}
        if len(standing) > 1
        else {},
        nouns=f"{nouns.total()} nouns of {prompts} prompts",
        operations=tuple(
            each for each in standing if each.gain is not None and (each.additions or each.removals)
        ),
        scored=any(each.clip_score is not None for each in standing),
        lessons=lessons,
        strips_command=_strips_command(findings, lessons),
        settings=settings(findings),
    )


def _strips_command(findings: Findings, lessons: tuple[ShownLesson, ...]) -> str | None:
    clips = [clip for each in lessons for case in each.cases for clip in case.clips]
    if all(clip.picture for clip in clips):
        return None
    number = max(SHOWN, sum(len(each.cases) for each in lessons))
    return evaluation_command(findings.manifest, findings.methods, len(findings.seeds), number)
