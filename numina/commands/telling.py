"""A finished run on the terminal: the verdict, the counts, and where the files are."""

from pathlib import Path

import typer

from numina.commands.screen import printable
from numina.report import RunStory, Tally, judge

_MAX_CELLS = 16


def show_story(story: RunStory, paths: dict[str, Path]) -> None:
    """The verdict, the counts, and where the files are."""
    verdict = judge(story)
    colour = {"right": "green", "mended": "green", "wrong": "red"}.get(verdict.outcome)
    typer.echo()
    done = typer.style(printable(verdict.done), fg=colour, bold=True)
    typer.echo(f"  {printable(verdict.found)} {done}")
    typer.echo()
    for line in count_lines(story):
        typer.echo(f"  {line}")
    if story.report.targets:
        typer.echo()
    for path in paths.values():
        typer.echo(f"  {path}")


def count_lines(story: RunStory) -> list[str]:
    """One line for each target and video, in columns."""
    width = max((len(printable(t.phrase)) for t in story.report.targets), default=0)
    lines = []
    for target, tally in zip(story.report.targets, story.tallies, strict=True):
        name = printable(target.phrase).ljust(width)
        for title, counted in (("before", tally.before), ("after", tally.after)):
            if counted is not None:
                counts = _counts(counted, target.count)
                lines.append(f"{name}  asked {target.count}  {title:6}  {counts}")
            name = " " * width
    return lines


def _counts(tally: Tally, asked: int) -> str:
    runs: list[tuple[int, int]] = []
    for count in tally.counts:
        if runs and runs[-1][0] == count and len(tally.counts) > _MAX_CELLS:
            runs[-1] = (count, runs[-1][1] + 1)
        else:
            runs.append((count, 1))
    parts = [
        typer.style(f"{count}", fg=_colour(tally, count == asked))
        + (f" (×{frames})" if frames > 1 else "")
        for count, frames in runs
    ]
    told = {"counter": "", "layout": "  in the layout", "plan": "  planned"}[tally.source]
    return " ".join(parts) + told


def _colour(tally: Tally, right: bool) -> str | None:
    if tally.source == "plan":
        return None
    return "green" if right else "red"
