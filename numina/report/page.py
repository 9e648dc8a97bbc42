"""The run as one self-contained page of HTML: every picture inlined, no script, nothing fetched."""

from dataclasses import dataclass, replace

from numina.record import Cost, TargetRecord
from numina.report.attention import MapFigure, MapRow, focus_rows, head_figures
from numina.report.cells import Cell, Status, count_cells, status_of
from numina.report.layouts import EditInWords, LayoutRow, edits_in_words, layout_rows
from numina.report.pictures import moving_picture, still_picture
from numina.report.story import CountSource, Frames, RunStory, Tally
from numina.report.template import rendered
from numina.report.verdict import Verdict, judge

_SOURCES: dict[CountSource, str] = {
    "counter": "counted exactly in the finished frames",
    "layout": "read from the model’s attention during the run, not from the finished frames",
    "plan": "planned, not measured",
}


@dataclass(frozen=True)
class Piece:
    """A stretch of the prompt; ``noun`` is the target it names, or None."""

    text: str
    noun: int | None


@dataclass(frozen=True)
class Chip:
    """One big count."""

    noun: int
    phrase: str
    value: str
    asked: int
    status: Status


@dataclass(frozen=True)
class VideoFigure:
    """One of the videos side by side; without pictures where only its counts are known."""

    title: str
    moving: str | None
    still: str | None
    alt: str
    chips: tuple[Chip, ...]
    note: str


@dataclass(frozen=True)
class CountRow:
    """The counts of one noun over the frames of one video."""

    noun: int
    phrase: str
    title: str
    asked: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Bar:
    """Guidance strength of one step."""

    step: int
    noise: float
    strength: float
    looked: bool


@dataclass(frozen=True)
class CostRow:
    """One measure of the plain and the counted run, as text."""

    title: str
    before: str
    after: str


@dataclass(frozen=True)
class Page:
    """All that the template shows, ready to be printed."""

    verdict: Verdict
    prompt: tuple[Piece, ...]
    facts: tuple[tuple[str, str], ...]
    figures: tuple[VideoFigure, ...]
    note: str
    width: int
    height: int
    counts: tuple[CountRow, ...]
    layouts: tuple[LayoutRow, ...]
    edits: tuple[EditInWords, ...]
    focus: tuple[MapRow, ...]
    heads: tuple[MapFigure, ...]
    bars: tuple[Bar, ...]
    strongest: float
    costs: tuple[CostRow, ...]
    settings: tuple[tuple[str, str], ...]
    versions: tuple[tuple[str, str], ...]
    reason: str


def render_page(story: RunStory) -> str:
    """Render the report of a run as HTML."""
    return rendered("report.html.jinja", page=build_page(story))


def build_page(story: RunStory) -> Page:
    """Everything that the page says, before it is laid out."""
    report = story.report
    height, width = story.after.shape[1:3]
    figures = _figures(story)
    notes = {figure.note for figure in figures}
    return Page(
        verdict=judge(story),
        prompt=mark_prompt(report.prompt, report.targets),
        facts=_facts(story),
        figures=figures if len(notes) > 1 else tuple(replace(f, note="") for f in figures),
        note=notes.pop() if len(notes) == 1 else "",
        width=width,
        height=height,
        counts=_count_rows(story),
        layouts=layout_rows(story),
        edits=edits_in_words(story),
        focus=focus_rows(story),
        heads=head_figures(story),
        bars=_bars(story),
        strongest=max([strength for _, strength in report.strengths], default=0.0),
        costs=_costs(story.plain, report.total, report.identify),
        settings=tuple((name, str(value)) for name, value in report.settings.items()),
        versions=tuple(story.versions.items()),
        reason=_sentence(report.reason),
    )


def mark_prompt(prompt: str, targets: tuple[TargetRecord, ...]) -> tuple[Piece, ...]:
    """Split a prompt at the mentions of its targets; of overlapping mentions the first counts."""
    spans = sorted((span, noun) for noun, target in enumerate(targets) for span in target.spans)
    pieces, here = [], 0
    for (start, stop), noun in spans:
        if start < here or stop <= start:
            continue
        pieces += [Piece(prompt[here:start], None), Piece(prompt[start:stop], noun)]
        here = stop
    pieces.append(Piece(prompt[here:], None))
    return tuple(piece for piece in pieces if piece.text)


def _sentence(text: str) -> str:
    """``text`` with a capital at its start and a full stop at its end."""
    text = text.strip()
    if not text:
        return ""
    return f"{text[0].upper()}{text[1:]}{'' if text.endswith(('.', '!', '?')) else '.'}"


def _facts(story: RunStory) -> tuple[tuple[str, str], ...]:
    frames, height, width = story.after.shape[:3]
    return (
        ("model", story.model),
        ("seed", str(story.seed)),
        ("video", f"{frames} frames of {width} × {height}"),
        ("decision", story.report.decision),
    )


def _figures(story: RunStory) -> tuple[VideoFigure, ...]:
    befores = [tally.before for tally in story.tallies]
    afters = [tally.after for tally in story.tallies]
    if story.report.decision != "guided" and story.is_untouched:
        return (_figure(story, "The video", story.after, afters),)
    return (
        _figure(story, "Before", story.before, befores),
        _figure(story, "After", story.after, afters),
    )


def _figure(
    story: RunStory, title: str, frames: Frames | None, tallies: list[Tally | None]
) -> VideoFigure:
    chips = tuple(
        _chip(noun, target, tally)
        for noun, (target, tally) in enumerate(zip(story.report.targets, tallies, strict=True))
    )
    sources = {tally.source for tally in tallies if tally is not None}
    return VideoFigure(
        title=title,
        moving=moving_picture(frames, story.fps) if frames is not None else None,
        still=still_picture(frames[len(frames) // 2], 640) if frames is not None else None,
        alt=f"{title}: {', '.join(f'{chip.value} {chip.phrase}' for chip in chips) or 'the video'}",
        chips=chips,
        note="; ".join(_SOURCES[source] for source in sorted(sources)),
    )


def _chip(noun: int, target: TargetRecord, tally: Tally | None) -> Chip:
    if tally is None:
        return Chip(noun, target.phrase, "?", target.count, "unknown")
    low, high = min(tally.counts), max(tally.counts)
    return Chip(
        noun=noun,
        phrase=target.phrase,
        value=str(low) if low == high else f"{low}–{high}",
        asked=target.count,
        status=status_of(tally, tally.is_always(target.count)),
    )


def _count_rows(story: RunStory) -> tuple[CountRow, ...]:
    rows = []
    for noun, (target, tally) in enumerate(zip(story.report.targets, story.tallies, strict=True)):
        for title, counted in (("before", tally.before), ("after", tally.after)):
            if counted is not None:
                cells = count_cells(counted, target.count)
                rows.append(CountRow(noun, target.phrase, title, target.count, cells))
    return tuple(rows)


def _bars(story: RunStory) -> tuple[Bar, ...]:
    looked = {look.step for look in story.report.looks}
    return tuple(
        Bar(step, noise, strength, step in looked)
        for step, (noise, strength) in enumerate(story.report.strengths)
    )


def _costs(plain: Cost | None, total: Cost, identify: Cost) -> tuple[CostRow, ...]:
    rows = [
        CostRow(title, show(getattr(plain, name)) if plain else "–", show(getattr(total, name)))
        for title, name, show in (
            ("Forward passes", "forwards", _number),
            ("Seconds", "seconds", _seconds),
            ("Peak memory", "peak_bytes", _memory),
        )
    ]
    if identify.forwards:
        part = f"{_number(identify.forwards)} passes, {_seconds(identify.seconds)} s"
        rows.append(CostRow("Up to the decision", "–", part))
    return tuple(rows)


def _number(value: float) -> str:
    return f"{value:,.1f}".removesuffix(".0")


def _seconds(value: float) -> str:
    return f"{value:,.1f}"


def _memory(value: int | None) -> str:
    return "–" if value is None else f"{value / 2**30:.2f} GiB"
