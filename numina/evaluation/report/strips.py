"""Strips of the cases to be shown: what was asked for, the frames, and what was counted in them."""

from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from numina.errors import FormatError
from numina.evaluation.clip import Evaluated
from numina.evaluation.replay import replay
from numina.evaluation.report.findings import read_findings
from numina.evaluation.report.lessons import chosen, instances
from numina.evaluation.report.standings import leader, standings
from numina.evaluation.results import Row
from numina.evaluation.suites import Suite
from numina.output import claim_folder, slug
from numina.report.frame_row import FAINT, FRAME_HEIGHT, INK, PAPER, font, frame_row
from numina.report.frames import to_uint8
from numina.report.pictures import still_picture
from numina.report.story import Frames, Tally

STRIPS = "strips"

_MARGIN, _HEAD = 24, 92
_PAGE_WIDTH = 960


def keep_strips(
    folder: Path,
    number: int,
    methods: Mapping[str, Evaluated],
    suite: Suite,
    say: Callable[[str], None] = print,
) -> list[Path]:
    """Make the clips of the most instructive cases again and keep a strip of each.

    Args:
        folder: A results folder; strips go to ``strips/`` in it, and those that are there stay.
        number: How many cases.
        methods: By name, as they were evaluated.
        suite: As it was evaluated.
        say: Takes a line after every strip.

    Returns:
        The new strips.

    Raises:
        EvaluationError: If a clip does not come out as it was counted.
        OutputError: If a strip cannot be written.
    """
    findings = read_findings(folder)
    first = leader(standings(findings))
    cases = chosen(instances(findings.rows, first.name), number) if first else ()
    rows = [row for case in cases for row in case.rows]
    wanted = [row for row in rows if strip_picture(folder, row) is None]
    target = claim_folder(folder / STRIPS, map(strip_name, wanted), force=True)
    paths = []
    for made in replay(wanted, methods, suite, len(findings.seeds)):
        strip = draw_clip_strip(made.row, to_uint8(made.frames))
        paths.append(target.write(strip_name(made.row), strip))
        say(f"strip {len(paths)}/{len(wanted)}  seed {made.row.seed} under {made.row.method}")
    return paths


def strip_name(row: Row) -> str:
    """The file of a result's strip."""
    return f"{row.seed}-{slug(row.method)}.png"


def draw_clip_strip(row: Row, frames: Frames) -> bytes:
    """Frames ``[F, Y, X, 3]`` of a clip as PNG, under what was asked for, over what was counted."""
    tallies = [Tally(counts, "counter") for counts in row.counts]
    picture = frame_row(frames, tallies, row.targets)
    strip = Image.new("RGB", (picture.width + 2 * _MARGIN, picture.height + _HEAD + _MARGIN), PAPER)
    draw = ImageDraw.Draw(strip)
    asked = ", ".join(f"{count} {noun}" for noun, count in zip(row.nouns, row.targets, strict=True))
    draw.text((_MARGIN, _MARGIN), f"asked for {asked}", INK, font(24))
    draw.text((_MARGIN, _MARGIN + 34), f"{row.method}, seed {row.seed}", FAINT, font(17))
    strip.paste(picture, (_MARGIN, _HEAD))
    target = BytesIO()
    strip.save(target, "PNG", optimize=True)
    return target.getvalue()


def strip_picture(folder: Path, row: Row) -> str | None:
    """The frames alone of a kept strip as data URI; None where it was not kept.

    Raises:
        FormatError: If the file is no strip.
    """
    path = folder / STRIPS / strip_name(row)
    if not path.exists():
        return None
    try:
        with Image.open(path) as strip:
            pixels = np.asarray(strip.convert("RGB"))
    except (OSError, ValueError, SyntaxError) as error:
        raise FormatError(f"{path} is no picture; delete it, and --strips draws it anew") from error
    frames = pixels[_HEAD : _HEAD + FRAME_HEIGHT, _MARGIN:-_MARGIN]
    if frames.shape[0] != FRAME_HEIGHT or not frames.shape[1]:
        raise FormatError(f"{path} is no strip; delete it, and --strips draws it anew")
    return still_picture(frames, _PAGE_WIDTH)
